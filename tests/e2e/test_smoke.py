from harness import *

@test
def one_crash(stage):
    t = stage.run(CRASH, "segv")
    b = t.banner()
    print(b)
    t.interrupt()
    print(t.gdb("bt"))
    print(stage.ttylock("status").stdout)
    t.quit()
    assert t.finish() == 139
main()

"""The manual pages say what there is, and nothing else: each page is held against
what it describes."""
import glob
import shutil

from harness import *

PAGES = {name: os.path.join(ROOT, directory, name) for directory, name in (
    ("client/shell", "ttylock.1"), ("client/lib", "libttylock.3"), ("proto", "ttylock.7"),
    ("daemon", "ttylockd.8"))}
# Of every command, and not in each one's list.
EVERYWHERE = {"-h", "--help", "-V", "--version"}


def page(name):
    with open(PAGES[name]) as f:
        return f.read()


def sections(text, macro):
    """Title: body, of the parts that begin by .Sh or .Ss."""
    parts = re.split(rf"^\.{macro} (.*)\n", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def same(what, documented, real):
    lacks, invents = set(real) - set(documented), set(documented) - set(real)
    assert not lacks and not invents, (
        f"{what}: not in the page: {sorted(lacks) or '-'}; only in the page: {sorted(invents) or '-'}")


def commands_of(stage):
    return re.findall(r"^  ([a-z][a-z-]*) +\S", stage.ttylock("--help").stdout, re.M)


def options_in_help(text):
    """The options that a help lists: lines that begin with one."""
    found = set()
    for line in re.findall(r"^ {2,}(-.*)", text, re.M):
        found |= set(re.findall(r"(?<![\w-])(-\w\b|--[a-z][a-z-]*)", re.split(r" {2,}", line)[0]))
    return found - EVERYWHERE


def options_in_page(body):
    """The options that a page's lists explain: .It Fl n , Fl -nonblock Ar secs"""
    return {"-" + name for line in re.findall(r"^\.It (Fl .*)", body, re.M)
            for name in re.findall(r"Fl (\S+)", line)} - EVERYWHERE


def sources(directory, names="*.c"):
    text = ""
    for name in sorted(glob.glob(os.path.join(ROOT, directory, names))):
        with open(name) as f:
            text += f.read()
    return text


def variables_read(text):
    """What the code takes from its environment, not what it passes on."""
    calls = r'(?:getenv|environment_get|is_off)\((?:[\w>-]+, )?"([A-Z_]+)"'
    return set(re.findall(calls, text))


def variables_in(body):
    return {name for line in re.findall(r"^\.It (Ev .*)", body, re.M)
            for name in re.findall(r"Ev (\w+)", line)}


@test
def the_pages_are_free_of_warnings(stage):
    if not shutil.which("mandoc"):
        raise Skip("no mandoc")
    for name, path in PAGES.items():
        out = subprocess.run(["mandoc", "-Tlint", "-Wwarning", path], capture_output=True, text=True,
                             timeout=TIMEOUT)
        assert out.returncode == 0 and not out.stdout, f"{name}:\n{out.stdout}{out.stderr}"
        shown = subprocess.run(["mandoc", "-Tutf8", path], capture_output=True, text=True,
                               check=True, timeout=TIMEOUT).stdout
        assert "SEE ALSO" in re.sub(".\b", "", shown), shown


@test
def the_pages_refer_to_pages_that_exist(stage):
    ours = {tuple(name.rsplit(".", 1)) for name in PAGES}
    for name in PAGES:
        for title, number in re.findall(r"\bXr (\S+) (\d)", page(name)):
            if "ttylock" in title:
                assert (title, number) in ours, f"{name}: Xr {title} {number}"


@test
def every_command_has_its_part(stage):
    parts = sections(sections(page("ttylock.1"), "Sh")["COMMANDS"], "Ss")
    same("ttylock.1: commands", parts, commands_of(stage))


@test
def every_option_is_explained_and_exists(stage):
    parts = sections(sections(page("ttylock.1"), "Sh")["COMMANDS"], "Ss")
    faults = []
    for name in commands_of(stage):
        help_text = stage.ttylock(name, "--help").stdout
        assert help_text.startswith(f"Usage: ttylock {name}"), help_text
        try:
            same(f"ttylock.1: {name}", options_in_page(parts.get(name, "")),
                 options_in_help(help_text))
        except AssertionError as e:
            faults.append(str(e))
    assert not faults, "\n".join(faults)


@test
def every_column_is_explained(stage):
    listed = stage.ttylock("status", "--help").stdout.partition("The columns")[2]
    parts = sections(sections(page("ttylock.1"), "Sh")["COMMANDS"], "Ss")
    same("ttylock.1: columns", re.findall(r"^\.It Cm ([A-Z]+)", parts["status"], re.M),
         re.findall(r"^  ([A-Z]+) +\S", listed, re.M))


@test
def the_daemons_options_are_explained_and_exist(stage):
    out = subprocess.run([os.path.join(BUILD, "ttylockd"), "--help"], capture_output=True,
                         text=True, check=True, timeout=TIMEOUT)
    same("ttylockd.8: options", options_in_page(page("ttylockd.8")), options_in_help(out.stdout))


@test
def the_environment_is_explained(stage):
    read = variables_read("".join(sources("client/" + part) for part in
                                  ("shell", "lib", "preload", "dump", "crash")))
    assert "TTYLOCK_SOCKET" in read and "TTYLOCK_CRASH" in read, read
    environment = sections(page("ttylock.1"), "Sh")["ENVIRONMENT"]
    same("ttylock.1: environment", variables_in(environment), read)
    passed = {"LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET",  # read by libsystemd
              "WATCHDOG_PID", "WATCHDOG_USEC"}
    environment = sections(page("ttylockd.8"), "Sh")["ENVIRONMENT"]
    same("ttylockd.8: environment", variables_in(environment),
         variables_read(sources("daemon")) | passed)


@test
def every_exit_status_is_explained(stage):
    statuses = sections(page("ttylock.1"), "Sh")["EXIT STATUS"]
    text = sources("client/shell", "*.[ch]")
    numbers = [int(n) for n in re.findall(r"^(?:\t|#define )EXIT_\w+ (?:= )?(\d+)", text, re.M)]
    real = {"128+N" if n == 128 else str(n) for n in numbers if n < 256}
    same("ttylock.1: exit status", re.findall(r"^\.It (\S+)", statuses, re.M), real | {"0"})


@test
def every_function_is_in_its_page(stage):
    out = subprocess.run(["nm", "-D", "--defined-only", os.path.join(BUILD, "libttylock.so")],
                         capture_output=True, text=True, check=True, timeout=TIMEOUT).stdout
    exported = set(re.findall(r" T (ttylock_\w+)", out))
    with open(os.path.join(ROOT, "client/include/ttylock.h")) as f:
        macros = set(re.findall(r"^#define (ttylock_\w+)\(", f.read(), re.M))
    assert len(exported) > 20 and macros, (exported, macros)
    text = page("libttylock.3")
    parts = sections(text, "Sh")
    described = parts["DESCRIPTION"]
    named = set(re.findall(r"^\.Nm (ttylock_\w+)", parts["NAME"], re.M))
    same("libttylock.3: NAME", named, exported | macros)
    in_synopsis = set(re.findall(r"^\.F[no] (ttylock_\w+)", parts["SYNOPSIS"], re.M))
    same("libttylock.3: SYNOPSIS", in_synopsis, exported | macros)
    said = set(re.findall(r"^\.Fn (ttylock_\w+)", described, re.M))
    same("libttylock.3: DESCRIPTION", said, exported | macros)
    anywhere = set(re.findall(r"\b(ttylock_\w+)", text)) - {"ttylock_wish", "ttylock_entry",
                                                            "ttylock_status"}
    same("libttylock.3: names", anywhere, exported | macros)


@test
def every_error_of_the_header_is_in_the_page(stage):
    with open(os.path.join(ROOT, "client/include/ttylock.h")) as f:
        real = set(re.findall(r"-(E[A-Z]{2,})\b", f.read()))
    same("libttylock.3: errors", re.findall(r"Er -(E[A-Z]+)", page("libttylock.3")), real)


@test
def the_synopsis_compiles(stage):
    """Each prototype of the page, beside the header's: a compiler compares them."""
    prototypes, lines = [], sections(page("libttylock.3"), "Sh")["SYNOPSIS"].split("\n")
    kind = name = None
    arguments = []
    for line in lines:
        if line.startswith(".Ft "):
            kind = line[4:]
        elif line.startswith(".Fn ") and kind:
            name, _, rest = line[4:].partition(" ")
            arguments = re.findall(r'"([^"]*)"', rest) or [rest]
        elif line.startswith(".Fo "):
            name, arguments = line[4:], []
        elif line.startswith(".Fa "):
            arguments.append(line[4:].strip('"'))
        if kind and name and line[:4] in (".Fn ", ".Fc"):
            prototypes.append(f"{kind} {name}({', '.join(arguments)});")
            kind = name = None
    assert len(prototypes) > 20, prototypes
    program = stage.write("synopsis.c", "#include <ttylock.h>\n" + "\n".join(prototypes), 0o644)
    out = subprocess.run(["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                          "-I", os.path.join(ROOT, "client/include"), program],
                         capture_output=True, text=True, timeout=TIMEOUT)
    assert out.returncode == 0, out.stderr


@test
def every_message_is_in_the_protocols_outline(stage):
    with open(os.path.join(ROOT, "proto/ttylock.proto")) as f:
        envelope = re.search(r"oneof body \{(.*?)\n  \}", f.read(), re.S)[1]
    real = re.findall(r"^ +(\w+) \w+ = \d+;", envelope, re.M)
    protocol = sections(page("ttylock.7"), "Sh")["PROTOCOL"]
    same("ttylock.7: messages", re.findall(r"^\.It Vt (\w+)", protocol, re.M), real)


main()

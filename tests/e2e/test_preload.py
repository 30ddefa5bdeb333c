#!/usr/bin/python3
"""The crash handler (libttylock-preload.so) alone, with a stand-in for `ttylock debug`.

The stand-in is a script that each crash starts. It connects to a socket of this test, tells what it was
started with, and does what the test says: write "A" to the gate, run gdb, or end. So the test holds every
step in its hand, and nothing here waits for a time to pass except to see that nothing happens meanwhile.

Each program's raw wait status is compared with that of the same program without the handler.
"""
import contextlib
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else 'build')
ONLY = sys.argv[2:]
LIBRARY = os.path.join(BUILD, 'libttylock-preload.so')
CRASH = os.path.join(BUILD, 'tests/programs/crash')
DEADLINE = 60  # seconds, for any single step: this machine may be busy

HELPER = r'''#!/usr/bin/python3 -SE
import json, os, signal, socket, subprocess, sys
blocked = signal.pthread_sigmask(signal.SIG_SETMASK, [])
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
gate = int(sys.argv[sys.argv.index('--gate') + 1])
os.set_inheritable(gate, False)
link = socket.socket(socket.AF_UNIX)
link.connect(os.environ['STUB_SOCKET'])
link.sendall(json.dumps({'argv': sys.argv[1:], 'env': dict(os.environ), 'pid': os.getpid(),
    'ppid': os.getppid(), 'blocked': sorted(blocked),
    'fds': sorted(int(fd) for fd in os.listdir('/proc/self/fd'))}).encode() + b'\n')
for line in link.makefile():
    order = json.loads(line)
    reply = ''
    if order[0] == 'exit':
        sys.exit(0)
    if order[0] == 'gate':
        try:
            os.write(gate, order[1].encode())
        except BrokenPipeError:
            reply = 'broken'
    if order[0] == 'run':
        done = subprocess.run(order[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        reply = done.stdout.decode(errors='replace')
    link.sendall(json.dumps(reply).encode() + b'\n')
'''


class Failed(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Failed(what)


def end(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Helper:
    """One started stand-in."""

    def __init__(self, link):
        link.settimeout(DEADLINE)
        self.link = link
        self.file = link.makefile()
        self.hello = json.loads(self.file.readline())
        self.argv = self.hello['argv']
        self.pid = self.hello['pid']

    def order(self, *words):
        self.link.sendall(json.dumps(words).encode() + b'\n')
        return json.loads(self.file.readline())

    def gdb(self, *commands, proceed=True):
        """Attach as `ttylock debug` does, and go on to the fault. Returns what gdb said."""
        self.order('gate', 'A')
        words = ['gdb', '-q', '-nx', '-batch', '-iex', 'set confirm off', '-iex', 'set width 0']
        words += ['-p', self.argv[-1], '-ex', 'handle SIGTRAP pass']
        for command in ('continue',) * proceed + commands:
            words += ['-ex', command]
        return self.order('run', *words)

    def exit(self):
        self.link.sendall(b'["exit"]\n')

    def close(self):
        self.file.close()
        self.link.close()
        end(self.pid)


class Program:
    """One program under the handler. Use it in a with statement: its end ends what it started."""

    def __init__(self, *argv, env=(), setup=None, library=LIBRARY, helper=None, stdout=None):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(SCRATCH, 'socket.%d' % time.monotonic_ns()))
        self.listener.listen(64)
        self.listener.settimeout(DEADLINE)
        self.stderr = tempfile.TemporaryFile('w+', dir=SCRATCH)
        self.helpers = []
        full = dict(os.environ, LD_PRELOAD=library, TTYLOCK_TTY='/dev/null', TTYLOCK_HELPER=helper or STUB,
                    STUB_SOCKET=self.listener.getsockname(), TTYLOCK_TREE='tree-of-test')
        full.update(env)
        full = {name: value for name, value in full.items() if value is not None}
        self.process = subprocess.Popen(argv, env=full, cwd=SCRATCH, preexec_fn=setup or with_core,
                                        stdin=subprocess.DEVNULL, stdout=stdout or subprocess.DEVNULL,
                                        stderr=self.stderr)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for helper in self.helpers:
            helper.close()
        if self.process.returncode is None:
            end(self.pid)
            self.process.wait()
        self.listener.close()

    def helper(self):
        link = self.listener.accept()[0]
        self.helpers.append(Helper(link))
        return self.helpers[-1]

    def status(self):
        """The raw wait status, core flag included."""
        fd = os.pidfd_open(self.pid)
        ready = select.select([fd], [], [], DEADLINE)[0]
        os.close(fd)
        expect(ready, 'still alive after %d s' % DEADLINE)
        status = os.waitpid(self.pid, 0)[1]
        self.process.returncode = status
        return status

    def errors(self):
        self.stderr.seek(0)
        return self.stderr.read()

    def helper_waiting(self):
        return bool(select.select([self.listener], [], [], 0)[0])


def with_core():
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored below nohup
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)


def plain_status(*argv, env=(), setup=None):
    """The status without the handler."""
    with Program(*argv, env=dict(env, LD_PRELOAD=None, TTYLOCK_HELPER=None), setup=setup) as program:
        return program.status()


def describe(status):
    if os.WIFSIGNALED(status):
        return 'signal %d%s' % (os.WTERMSIG(status), ' core' if os.WCOREDUMP(status) else '')
    return 'exit %d' % os.WEXITSTATUS(status)


def same_status(status, *argv, **options):
    plain = plain_status(*argv, **options)
    expect(status == plain, 'ended by %s, without us by %s' % (describe(status), describe(plain)))


def matches(pattern, text):
    expect(re.search(pattern, text, re.M | re.S), 'no %r in:\n%s' % (pattern, text))


def await_standing_still(pid):
    """The helper may be here before the one who started it waits for it."""
    deadline = time.monotonic() + DEADLINE
    waits = {'202', '281'}  # futex, epoll_pwait
    while True:
        tasks = ['/proc/%d/task/%s/syscall' % (pid, tid) for tid in os.listdir('/proc/%d/task' % pid)]
        if {open(task).read().split()[0] for task in tasks} <= waits:
            return
        expect(time.monotonic() < deadline, 'its threads do not come to rest')
        time.sleep(0.01)  # between two looks


# --- the tests: each function is one, named by its own name -------------------------------------------

# mode, signal, what gdb must show: the fault itself as frame 0, abort() with its own frames
MODES = [
    ('segv', 'SIGSEGV', r'^#0 [^\n]*bug_segv \(\) at .*^answer = 42'),
    ('abort', 'SIGABRT', r'^#0 [^\n]*pthread_kill.*abort.*^#\d+ [^\n]*bug_abort \(\) at '),
    ('fpe', 'SIGFPE', r'^#0 [^\n]*bug_fpe \(\) at .*^answer = 42'),
    ('ill', 'SIGILL', r'^#0 [^\n]*bug_ill \(\) at .*^answer = 42'),
    ('bus', 'SIGBUS', r'^#0 [^\n]*bug_bus \(\) at .*^answer = 42'),
    ('trap', 'SIGTRAP', r'^#0 [^\n]*bug_trap \(\) at .*^answer = 42'),
    ('raise-segv', 'SIGSEGV', r'^#0 [^\n]*pthread_kill.*bug_raise_segv \(\) at '),
    ('overflow', 'SIGSEGV', r'^#0 [^\n]*bug_overflow \(depth='),
    ('thread', 'SIGSEGV', r'^#0 [^\n]*bug_segv \(\) at .*^#\d+ [^\n]*thread_segv'),
    ('thread-overflow', 'SIGSEGV', r'^#0 [^\n]*bug_overflow \(depth='),
    ('heap', 'SIGABRT', r'^#\d+ [^\n]*malloc_printerr .*^#\d+ [^\n]*bug_heap \(\) at '),
    ('many', 'SIGSEGV', r'^#0 [^\n]*bug_segv \(\) at .*^#\d+ [^\n]*thread_segv'),
    ('two', 'SIGSEGV', r'^#0 [^\n]*bug_segv \(\) at '),
    ('handler', 'SIGSEGV', r'^#0 [^\n]*bug_segv \(\) at .*on_usr1'),
    ('setsid', 'SIGSEGV', r'^#0 [^\n]*bug_segv \(\) at '),
    ('no-stdin', 'SIGSEGV', r'^#0 [^\n]*bug_segv \(\) at '),
    ('no-descriptors', 'SIGSEGV', r'^#0 [^\n]*bug_segv \(\) at '),
    ('sigchld', 'SIGSEGV', r'^#0 [^\n]*bug_segv \(\) at '),
    ('chained', 'SIGSEGV', r'^#0 [^\n]*bug_segv \(\) at '),
    ('setuid', 'SIGSEGV', r'^#0 [^\n]*bug_segv \(\) at '),
]


def debugger_at(mode, name, frames):
    with Program(CRASH, mode) as program:
        helper = program.helper()
        said = helper.gdb('bt 12', 'info locals')
        matches(r'received signal %s' % name, said)
        matches(frames, said)
        helper.exit()
        same_status(program.status(), CRASH, mode)
        expect(program.errors().count('ttylock') == 0, program.errors())
        expect(not program.helper_waiting(), 'a second helper')


for mode_, name_, frames_ in MODES:
    def test(row=(mode_, name_, frames_)):
        debugger_at(*row)
    globals()['test_debugger_at_' + mode_.replace('-', '_')] = test


def undebugged_at(mode):
    with Program(CRASH, mode) as program:
        program.helper().exit()
        same_status(program.status(), CRASH, mode)
        expect(program.errors().count('ttylock') == 0, program.errors())


for mode_, name_, frames_ in MODES:
    def test(mode=mode_):
        undebugged_at(mode)
    globals()['test_same_end_without_debugger_' + mode_.replace('-', '_')] = test


def test_helper_contract():
    """Its arguments, its environment, its parent, its descriptors."""
    with Program(CRASH, 'segv', env={'KEPT': 'a b', 'LONG': 'x' * 30000}) as program:
        helper = program.helper()
        await_standing_still(program.pid)
        hello = helper.hello
        argv = hello['argv']
        expect(argv[:6:2] == ['debug', str(int(signal.SIGSEGV)), str(program.pid)], argv)
        expect(argv[1] == '--crashed' and argv[3] == '--thread' and argv[5] == '--gate', argv)
        expect(len(argv) == 8 and argv[7] == str(program.pid) and int(argv[6]) >= 10, argv)
        expect('LD_PRELOAD' not in hello['env'], 'LD_PRELOAD in the helper')
        expect(hello['env']['KEPT'] == 'a b' and len(hello['env']['LONG']) == 30000, 'environment')
        expect(hello['env']['TTYLOCK_TREE'] == 'tree-of-test', 'environment')
        expect(hello['ppid'] != program.pid, 'the helper is a child of the crashed process')
        # its own: the socket and the directory it lists
        expect(hello['fds'][:3] == [0, 1, 2] and len(hello['fds']) <= 6, hello['fds'])
        children = open('/proc/%d/task/%d/children' % (program.pid, program.pid)).read()
        expect(children == '', 'the crashed process has children: ' + children)
        pending = re.findall(r'^S[ih][gd]Pnd:\s+(\w+)', open('/proc/%d/status' % program.pid).read(), re.M)
        expect([int(mask, 16) for mask in pending] == [0, 0], 'signals pending: %s' % pending)


def test_environment_is_that_of_the_start():
    """A program that has overwritten its environment, as some do to set a title."""
    code = ('import ctypes, os; c = ctypes.CDLL(None); '
            'p = ctypes.POINTER(ctypes.c_char_p).in_dll(c, "environ")\n'
            'n = 0\n'
            'while p[n]: n += 1\n'
            'q = ctypes.cast(p, ctypes.POINTER(ctypes.c_void_p))\n'
            'for i in range(n): ctypes.memset(q[i], 120, 4)\n'
            'ctypes.string_at(0)')
    with Program('/usr/bin/python3', '-c', code, env={'KEPT': 'still here'}) as program:
        expect(program.helper().hello['env']['KEPT'] == 'still here', 'environment')


def test_descriptors_closed_at_the_fault():
    with Program(CRASH, 'segv') as program:
        said = program.helper().gdb('shell echo descriptors: $(ls -v /proc/%d/fd)' % program.pid)
        # The last one tells it of the session's end, and is out of the program's way.
        matches(r'^descriptors: 0 1 2 1\d\d$', said)


def test_siginfo_is_the_original():
    with Program(CRASH, 'segv') as program:
        said = program.helper().gdb('p $_siginfo.si_code', 'p $_siginfo._sifields._sigfault.si_addr')
        matches(r'= 1\n.*= \(void \*\) 0x0', said)
    with Program(CRASH, 'abort') as program:
        said = program.helper().gdb('p $_siginfo.si_code', 'p $_siginfo._sifields._kill.si_pid')
        matches(r'= -6\n.*= %d$' % program.pid, said)


def test_a_later_crash_has_its_own_session():
    """The person has the program go on; what crashes later, by another signal, has its own session."""
    code = 'import ctypes, os, signal; os.kill(os.getpid(), signal.SIGSEGV); os.abort()'
    with Program('/usr/bin/python3', '-c', code) as program:
        helper = program.helper()
        helper.gdb('queue-signal 0', 'detach')
        second = program.helper()
        expect(second.argv[2] == str(int(signal.SIGABRT)), second.argv)
        helper.exit()
        matches('SIGABRT', second.gdb('bt 3'))
        second.exit()
        expect(os.WTERMSIG(program.status()) == signal.SIGABRT, 'status')


def test_helper_missing():
    missing = os.path.join(SCRATCH, 'no', 'such', 'helper')
    for mode in 'segv', 'abort', 'no-stdin', 'ticks':
        with Program(CRASH, mode, helper=missing) as program:
            same_status(program.status(), CRASH, mode)
            expect(program.errors() == 'ttylock: crash (pid %d): cannot start the debugger helper: '
                   'No such file or directory\n' % program.pid, program.errors())


def test_helper_not_executable():
    path = os.path.join(SCRATCH, 'not-executable')
    open(path, 'w').close()
    with Program(CRASH, 'segv', helper=path) as program:
        same_status(program.status(), CRASH, 'segv')
        matches(r'\Attylock: crash \(pid \d+\): [^\n]*: Permission denied\n\Z', program.errors())


def test_no_descriptors_left():
    def few():
        with_core()
        resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))
    with Program(CRASH, 'segv', setup=few) as program:
        same_status(program.status(), CRASH, 'segv', setup=few)
        matches(r'\Attylock: crash \(pid \d+\): [^\n]*: Too many open files\n\Z', program.errors())


def test_helper_killed_while_waiting():
    for mode in 'segv', 'abort', 'ticks':
        with Program(CRASH, mode) as program:
            os.kill(program.helper().pid, signal.SIGKILL)
            same_status(program.status(), CRASH, mode)


def test_debugger_never_attaches():
    with Program(CRASH, 'segv') as program:
        helper = program.helper()
        helper.order('gate', 'A')
        helper.exit()
        same_status(program.status(), CRASH, 'segv')


def test_debugger_attaches_and_leaves():
    """Detached before the fault: it then happens without it."""
    with Program(CRASH, 'segv') as program:
        helper = program.helper()
        helper.gdb('detach', proceed=False)
        helper.exit()
        same_status(program.status(), CRASH, 'segv')


def test_asked_to_end_while_waiting():
    for ask in signal.SIGTERM, signal.SIGHUP:
        for mode in 'segv', 'ticks':
            with Program(CRASH, mode) as program:
                helper = program.helper()
                os.kill(program.pid, ask)
                same_status(program.status(), CRASH, mode)
                expect(helper.order('gate', 'A') == 'broken', 'the gate is still open')


def test_ignored_hangup_does_not_end_the_wait():
    def nohup():
        with_core()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Program(CRASH, 'segv', setup=nohup) as program:
        helper = program.helper()
        os.kill(program.pid, signal.SIGHUP)
        matches('received signal SIGSEGV', helper.gdb('bt'))
        helper.exit()
        same_status(program.status(), CRASH, 'segv')


def test_interrupt_while_waiting_does_not_go_first():
    with Program(CRASH, 'segv') as program:
        helper = program.helper()
        os.kill(program.pid, signal.SIGINT)
        said = helper.gdb('bt')
        matches('received signal SIGSEGV', said)
        expect('SIGINT' not in said, said)
        helper.exit()
        same_status(program.status(), CRASH, 'segv')


def switches(pid):
    text = ''
    for tid in os.listdir('/proc/%d/task' % pid):
        text += open('/proc/%d/task/%s/status' % (pid, tid)).read()
    return sum(int(n) for n in re.findall(r'ctxt_switches:\s+(\d+)', text))


def test_threads_stand_still():
    """From the crash until the debugger shows it, no thread does anything, and waiting takes no processor time."""
    ticks = os.path.join(SCRATCH, 'ticks')
    with Program(CRASH, 'ticks', ticks) as program:
        helper = program.helper()
        await_standing_still(program.pid)
        size, ran = os.path.getsize(ticks), switches(program.pid)
        time.sleep(0.5)  # to see that nothing happens
        expect(os.path.getsize(ticks) == size, 'ticks while waiting')
        expect(switches(program.pid) == ran, 'something ran while waiting')
        said = helper.gdb('shell echo size: $(stat -c %%s %s)' % ticks, 'info threads')
        matches(r'^size: %d$' % size, said)
        expect(said.count('syscall') + said.count('clock_nanosleep') >= 3, said)
        helper.exit()
        same_status(program.status(), CRASH, 'ticks')


def test_threads_run_on_after_a_repair():
    """The person repairs the pointer and has the line done again: the program goes on, all threads of it."""
    with Program(CRASH, 'ticks') as program:
        helper = program.helper()
        helper.gdb('set var nowhere = &answer', 'info line', 'jump *$_')
        helper.exit()
        status = program.status()
        expect(status == 11 << 8, describe(status))


def test_two_threads_one_session():
    with Program(CRASH, 'two') as program:
        helper = program.helper()
        said = helper.gdb('thread apply all bt 3')
        expect(len(re.findall('bug_segv', said)) >= 2, said)
        helper.exit()
        same_status(program.status(), CRASH, 'two')
        expect(not program.helper_waiting(), 'a second helper')


def test_vfork_child_and_parent():
    with Program(CRASH, 'vfork') as program:
        child = program.helper()
        expect(child.argv[-1] != str(program.pid), 'not the child')
        matches('received signal SIGSEGV', child.gdb('bt'))
        child.exit()
        parent = program.helper()
        expect(parent.argv[-1] == str(program.pid), 'not the parent')
        matches(r'bug_segv .*in_vfork', parent.gdb('bt'))
        parent.exit()
        same_status(program.status(), CRASH, 'vfork')


def test_first_thread_gone():
    """gdb 13 cannot attach once the first thread is a zombie; the end is to be the same."""
    with Program(CRASH, 'leaderless') as program:
        helper = program.helper()
        helper.gdb('bt')
        helper.exit()
        same_status(program.status(), CRASH, 'leaderless')


def test_killed_from_outside():
    for name in 'SEGV', 'ABRT', 'TRAP':
        number = getattr(signal, 'SIG' + name)
        with Program(CRASH, 'wait', stdout=subprocess.PIPE) as program:
            expect(b'ready' in program.process.stdout.readline(), 'not ready')
            os.kill(program.pid, number)
            helper = program.helper()
            said = helper.gdb('bt', 'p $_siginfo._sifields._kill.si_pid')
            matches(r'received signal SIG%s.*wait_for_kill.*= %d$' % (name, os.getpid()), said)
            helper.exit()
            expect(os.WTERMSIG(program.status()) == number, 'status')


def no_session(*argv, **options):
    with Program(*argv, **options) as program:
        status = program.status()
        expect(not program.helper_waiting(), 'a helper was started')
        expect('ttylock' not in program.errors(), program.errors())
        return status


def test_no_session_where_not_wanted():
    same_status(no_session(CRASH, 'segv', env={'TTYLOCK_CRASH': 'off'}), CRASH, 'segv')
    same_status(no_session(CRASH, 'segv', env={'TTYLOCK_HELPER': None}), CRASH, 'segv')
    same_status(no_session(CRASH, 'segv', env={'TTYLOCK_HELPER': 'relative'}), CRASH, 'segv')
    same_status(no_session(CRASH, 'own'), CRASH, 'own')


def test_ignored_signals_stay_ignored():
    def ignore():
        signal.signal(signal.SIGTRAP, signal.SIG_IGN)
    status = no_session('/bin/sh', '-c', 'kill -TRAP $$; exit 7', setup=ignore)
    expect(status == 7 << 8, describe(status))


def test_programs_that_do_not_crash():
    for argv, wanted in (([CRASH, 'none'], 7), (['/bin/sh', '-c', 'exit 3'], 3), (['/bin/true'], 0)):
        status = no_session(*argv)
        expect(status == wanted << 8, describe(status))


def test_already_traced():
    """The debugger in charge gets the signal; no session besides."""
    argv = ['gdb', '-q', '-nx', '-batch', '-ex', 'set env LD_PRELOAD ' + LIBRARY, '-ex', 'set startup-with-shell off',
            '-ex', 'run', '-ex', 'continue', '-ex', 'bt', '--args', CRASH, 'segv']
    with Program(*argv, env={'LD_PRELOAD': None}, stdout=subprocess.PIPE) as program:
        said = program.process.communicate(timeout=DEADLINE)[0].decode()
        matches(r'received signal SIGSEGV.*^#0 [^\n]*bug_segv', said)
        expect(not program.helper_waiting(), 'a helper was started')


def test_interpreters():
    crash = 'import ctypes; ctypes.string_at(0)'
    for argv, name in ((['/usr/bin/python3', '-c', crash], 'SIGSEGV'),
                       (['perl', '-e', 'kill SEGV => $$; sleep 9'], 'SIGSEGV'),
                       (['perl', '-e', 'use POSIX; POSIX::abort()'], 'SIGABRT'),
                       (['sh', '-c', 'kill -ABRT $$'], 'SIGABRT')):
        with Program(*argv) as program:
            helper = program.helper()
            matches('received signal ' + name, helper.gdb('bt 3'))
            helper.exit()
            same_status(program.status(), *argv)


SANITIZED = r'''
#include <pthread.h>
#include <stdlib.h>
static int *volatile nowhere;
static void bug_sanitized(void) { *nowhere = 1; }
static void *run(void *arg) { if (arg) bug_sanitized(); return free(malloc(10)), arg; }
int main(int argc, char **argv)
{
	pthread_t id;
	for (int i = 0; i < 50; i++) {
		pthread_create(&id, NULL, run, NULL);
		pthread_join(id, NULL);
	}
	if (argc < 2)
		return 7;
	if (*argv[1] == 'a')
		abort();
	if (*argv[1] == 't') {
		pthread_create(&id, NULL, run, argv);
		pthread_join(id, NULL);
	}
	bug_sanitized();
}
'''


def sanitized(compiler, flag, report):
    """Runs, crashes and reports as it would without us, plus the debugger."""
    name = 'sanitized-%s-%s' % (compiler, flag)
    path = os.path.join(SCRATCH, name)
    with open(path + '.c', 'w') as source:
        source.write(SANITIZED)
    subprocess.run([compiler, '-g', '-O0', '-fsanitize=' + flag, '-o', path, path + '.c', '-pthread'], check=True,
                   timeout=DEADLINE)
    env = {'ASAN_OPTIONS': 'verify_asan_link_order=0'}
    status = no_session(path, env=env)
    expect(status == 7 << 8, describe(status))
    for mode, frame in ('segv', 'bug_sanitized'), ('thread', 'bug_sanitized'), ('abort', 'main'):
        for debug in True, False:
            with Program(path, mode, env=env) as program:
                helper = program.helper()
                if debug:
                    matches(r'received signal.*^#\d+ [^\n]*%s \(' % frame, helper.gdb('bt'))
                helper.exit()
                same_status(program.status(), path, mode, env=env)
                if mode != 'abort':
                    matches(report, program.errors())


def test_gcc_address_sanitizer():
    sanitized('gcc', 'address', r'AddressSanitizer: SEGV on unknown address.*caused by a WRITE')


def test_clang_address_sanitizer():
    sanitized('clang', 'address', r'AddressSanitizer: SEGV on unknown address.*caused by a WRITE')


def test_gcc_thread_sanitizer():
    sanitized('gcc', 'thread', r'ThreadSanitizer: SEGV on unknown address')


def test_clang_thread_sanitizer():
    sanitized('clang', 'thread', r'ThreadSanitizer: SEGV on unknown address')


def test_behind_another_preload():
    path = os.path.join(SCRATCH, 'other')
    with open(path + '.c', 'w') as source:
        source.write('#include <stdlib.h>\n'
                     '__attribute__((constructor)) static void init(void) { setenv("OTHER", "1", 1); }\n')
    subprocess.run(['gcc', '-shared', '-fPIC', '-o', path + '.so', path + '.c'], check=True, timeout=DEADLINE)
    for library in path + '.so:' + LIBRARY, LIBRARY + ':' + path + '.so', path + '.so ' + LIBRARY:
        with Program(CRASH, 'thread-overflow', library=library) as program:
            helper = program.helper()
            matches('received signal SIGSEGV', helper.gdb('bt 3'))
            helper.exit()
            same_status(program.status(), CRASH, 'thread-overflow')


# --- running them ----------------------------------------------------------------------------------------

def main():
    failures = 0
    tests = [(name[5:], test) for name, test in globals().items() if name.startswith('test_')]
    for name, test in tests:
        if ONLY and not any(word in name for word in ONLY):
            continue
        try:
            test()
            print('ok - ' + name)
        except Exception as error:  # pylint: disable=broad-except
            failures += 1
            print('not ok - %s: %s' % (name, repr(error) if not isinstance(error, Failed) else error))
        sys.stdout.flush()
    return failures > 0


SCRATCH = tempfile.mkdtemp(prefix='ttylock-preload-')
STUB = os.path.join(SCRATCH, 'helper')
with open(STUB, 'w') as file_:
    file_.write(HELPER)
os.chmod(STUB, 0o755)
try:
    sys.exit(main())
finally:
    shutil.rmtree(SCRATCH)

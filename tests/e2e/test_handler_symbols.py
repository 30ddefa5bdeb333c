#!/usr/bin/python3
"""The handlers call nothing but what is safe in a signal handler.

Of the crash handler's objects: their undefined symbols, against a list. The SIGINT hook shares its frames and its
socket with what is not for handlers, so there it is each function that can be reached from it, down into nanopb.

Usage: test_handler_symbols.py [BUILD_DIRECTORY]
"""
import os
import re
import subprocess
import sys
import tempfile

BUILD = sys.argv[1] if len(sys.argv) > 1 else 'build'

# All that runs after a crash, and at a breakpoint. The constructor and pthread_create() have files of their own.
HANDLER = [os.path.join('client', name) for name in (
    'crash/crash crash/freeze crash/gate crash/hold crash/notice crash/rearm crash/solo crash/spawn crash/stack_dump '
    'crash/takeover crash/tasks crash/tracer lib/breakpoint lib/guard').split()]

# In signal-safety(7).
SAFE = {'memcpy', 'memset', 'strlen', 'strstr', 'strchr', 'strcmp', 'strncmp', 'sigaction', 'sigfillset'}

# Not there, and why they are safe all the same.
REASONS = {
    'syscall': 'a system call and errno, nothing else',
    '__errno_location': 'the address of errno in the thread; what libc itself uses in each wrapper',
    'strerrordesc_np': 'looks into a constant table; unlike strerror it neither translates nor formats',
    '__stack_chk_fail': 'the compiler\'s check of our own frames; ends the process',
    'ready_helper': 'is so from its second call on, as ttylock.h says',
    'ttylock_preload_crash': 'crash_install() and crash_remove() in the other library',
    '__assert_fail': 'at the end of a failed assertion, as without us',
    '_GLOBAL_OFFSET_TABLE_': 'the linker\'s, not a function',
}


def symbols(name, *options):
    path = os.path.join(BUILD, name + '.o')
    lines = subprocess.run(['nm', '-P', *options, path], check=True, stdout=subprocess.PIPE, text=True,
                           timeout=60).stdout.splitlines()
    return {line.split()[0] for line in lines}


# --- the SIGINT hook ----------------------------------------------------------------------------------------------

HOOK = ['client/lib/sigint_hook.o', 'client/lib/channel.o', 'proto/frame.o', 'proto/ttylock.pb.o']

# The hook, and what nanopb's streams call by pointers that are data.
ROOTS = {'sigint_hook', 'buf_read', 'buf_write'}

HOOK_SAFE = SAFE | {'memmove', 'poll', 'write', 'send', 'sendmsg', 'recv', 'clock_gettime', 'nanosleep',
                    'getpid', 'pthread_sigmask', 'sigemptyset', 'sigaddset', 'socket', 'connect', 'getsockopt', 'geteuid',
                    'close'}

HOOK_REASONS = {
    **REASONS,
    'realloc': 'nanopb, for pointer fields alone: proto/ttylock.options has none (checked here)',
    'free': 'as realloc',
    'dup3': 'dup2, which is listed, with a flag',
}

LABEL = re.compile(r'^([0-9a-f]+) <([^>]+)>:$')
SECTION = re.compile(r'^Disassembly of section (\S+):$')
OPERAND = re.compile(r'\t(?:call|j\w+|lea)\b[^#\n]*?\s[0-9a-f]+ <([^>+]+)[+>]')
RELOCATION = re.compile(r'\sR_\S+\s+([^\s+-]+)([+-]0x[0-9a-f]+)?$')


def disassemble(path):
    """{function: names that it refers to} of an object, and the functions of each section by address."""
    text = subprocess.run(['objdump', '-dr', '--no-show-raw-insn', path], check=True, stdout=subprocess.PIPE,
                          text=True, timeout=60).stdout
    refers, places, section, name = {}, {}, None, None
    for line in text.splitlines():
        if SECTION.match(line):
            section = SECTION.match(line)[1]
        elif LABEL.match(line):
            address, name = LABEL.match(line).groups()
            refers[name] = set()
            places.setdefault(section, []).append((int(address, 16), name))
        elif RELOCATION.search(line):
            symbol, addend = RELOCATION.search(line).groups()
            refers[name].add((symbol, int(addend or '0', 16)))
        elif OPERAND.search(line):
            refers[name].add((OPERAND.search(line)[1], 0))
    return refers, places


def resolve(symbol, addend, places):
    """A static function may be referred to by its section and offset."""
    if symbol not in places:
        return symbol
    # A PC-relative field counts from its end, 4 bytes on.
    before = [name for address, name in places[symbol] if address <= addend + 4]
    return before[-1] if before else symbol


def reachable(objects, roots):
    """The functions that can be reached from roots, and the names outside of the objects that they refer to."""
    local, exported = {}, {}
    for path in objects:
        refers, places = disassemble(path)
        for name, found in refers.items():
            local[path, name] = {resolve(*reference, places) for reference in found}
        out = subprocess.run(['nm', '-P', '--defined-only', '--extern-only', path], check=True,
                             stdout=subprocess.PIPE, text=True, timeout=60).stdout
        exported.update({line.split()[0]: path for line in out.splitlines()})
    todo, seen, outside = [at for at in local if at[1] in roots], set(), set()
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        for name in local[at]:
            if (at[0], name) in local:
                todo.append((at[0], name))
            elif name in exported:
                if (exported[name], name) in local:  # else data
                    todo.append((exported[name], name))
            else:
                outside.add(name)
    return {name for _, name in seen}, outside


def check_hook():
    objects = [os.path.join(BUILD, name) for name in HOOK]
    with tempfile.TemporaryDirectory() as directory:
        library = subprocess.run(['gcc', '-print-file-name=libprotobuf-nanopb.a'], check=True,
                                 stdout=subprocess.PIPE, text=True, timeout=60).stdout.strip()
        subprocess.run(['ar', 'x', os.path.abspath(library)], cwd=directory, check=True, timeout=60)
        objects += [os.path.join(directory, name) for name in os.listdir(directory)]
        functions, outside = reachable(objects, ROOTS)
    # Data of the objects themselves: no function is called by those names.
    outside = {name for name in outside if not name.startswith('.')}
    unsafe = outside - HOOK_SAFE - set(HOOK_REASONS)
    missed = {'channel_send', 'channel_receive', 'frame_decode', 'pb_decode', 'pb_encode', 'pb_read', *ROOTS} - functions
    with open('proto/ttylock.options') as f:
        options = f.read()
    if 'FT_POINTER' in options or 'FT_CALLBACK' in options:
        unsafe.add('a field that is not static')
    print('%s - what sigint_hook reaches (%d functions) is async-signal-safe%s' %
          ('not ok' if unsafe or missed else 'ok', len(functions),
           ''.join(': ' + symbol for symbol in sorted(unsafe) + sorted('not seen ' + m for m in missed))))
    return bool(unsafe or missed)


def main():
    failed = check_hook()
    own = set().union(*(symbols(name, '--defined-only', '--extern-only') for name in HANDLER))
    for name in HANDLER:
        unsafe = symbols(name, '--undefined-only') - own - SAFE - set(REASONS)
        print('%s - %s.o calls only what is async-signal-safe%s' %
              ('not ok' if unsafe else 'ok', name, ''.join(': ' + symbol for symbol in sorted(unsafe))))
        failed |= bool(unsafe)
    return failed


sys.exit(main())

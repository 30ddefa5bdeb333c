#!/usr/bin/python3
"""The crash handler calls nothing but what is safe in a signal handler: its objects' undefined symbols, against a list.

Usage: test_handler_symbols.py [BUILD_DIRECTORY]
"""
import os
import subprocess
import sys

BUILD = sys.argv[1] if len(sys.argv) > 1 else 'build'

# All that runs after a crash, and at a breakpoint. The constructor and pthread_create() have files of their own.
HANDLER = [os.path.join('client', name) for name in (
    'crash/crash crash/freeze crash/gate crash/notice crash/solo crash/spawn crash/stack_dump crash/tracer '
    'lib/breakpoint lib/guard').split()]

# In signal-safety(7).
SAFE = {'memcpy', 'memset', 'strlen', 'strstr', 'strcmp', 'sigaction', 'sigfillset'}

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


def main():
    failed = False
    own = set().union(*(symbols(name, '--defined-only', '--extern-only') for name in HANDLER))
    for name in HANDLER:
        unsafe = symbols(name, '--undefined-only') - own - SAFE - set(REASONS)
        print('%s - %s.o calls only what is async-signal-safe%s' %
              ('not ok' if unsafe else 'ok', name, ''.join(': ' + symbol for symbol in sorted(unsafe))))
        failed |= bool(unsafe)
    return failed


sys.exit(main())

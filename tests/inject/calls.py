"""The calls that can fail, and how: the only list of them.

  calls.py flags             the linker's --wrap options
  calls.py source            C: the wrappers, one for each
  calls.py check OBJECT...   that no call of these objects is missing here
"""
import re
import subprocess
import sys

# result name(arguments) | what failing returns | with which errnos. SHORT: it does
# less than it was asked to. LATE: nothing has come in time. A result in brackets is returned itself, without errno.
CALLS = """
void *malloc(size_t n) | NULL | ENOMEM
void *calloc(size_t n, size_t m) | NULL | ENOMEM
void *reallocarray(void *p, size_t n, size_t m) | NULL | ENOMEM
void *realloc(void *p, size_t n) | NULL | ENOMEM
char *strdup(const char *s) | NULL | ENOMEM
char *realpath(const char *p, char *out) | NULL | ENOENT EACCES ENOMEM
int socket(int d, int t, int p) | -1 | EMFILE ENFILE ENOMEM
int bind(int fd, const struct sockaddr *a, socklen_t n) | -1 | EACCES ENOSPC EROFS EADDRINUSE
int listen(int fd, int n) | -1 | EADDRINUSE
int connect(int fd, const struct sockaddr *a, socklen_t n) | -1 | ECONNREFUSED EAGAIN ENOENT EINTR EACCES
int accept4(int fd, struct sockaddr *a, socklen_t *n, int f) | -1 | EMFILE ENFILE ENOMEM ECONNABORTED EINTR EAGAIN
int getsockopt(int fd, int l, int o, void *v, socklen_t *n) | -1 | ENOPROTOOPT EINVAL ENODATA EMFILE EACCES
int setsockopt(int fd, int l, int o, const void *v, socklen_t n) | -1 | ENOPROTOOPT ENOMEM
ssize_t recvmsg(int fd, struct msghdr *m, int f) | -1 | EAGAIN EINTR ECONNRESET ENOMEM SHORT
ssize_t recv(int fd, void *b, size_t n, int f) | -1 | EAGAIN EINTR ECONNRESET ENOMEM SHORT
ssize_t sendmsg(int fd, const struct msghdr *m, int f) | -1 | EAGAIN EINTR EPIPE ENOBUFS ETOOMANYREFS SHORT
ssize_t send(int fd, const void *b, size_t n, int f) | -1 | EAGAIN EINTR EPIPE ENOBUFS SHORT
ssize_t sendto(int fd, const void *b, size_t n, int f, const struct sockaddr *a, socklen_t l) | -1 | EAGAIN ECONNREFUSED ENOBUFS
int shutdown(int fd, int how) | -1 | ENOTCONN
ssize_t read(int fd, void *b, size_t n) | -1 | EINTR EIO EAGAIN ESRCH SHORT
ssize_t write(int fd, const void *b, size_t n) | -1 | EINTR EPIPE ENOSPC EAGAIN SHORT
int open(const char *p, int f, ...) | -1 | EMFILE ENOENT EACCES EINTR
int close(int fd) | -1 | EINTR EIO
int close_range(unsigned a, unsigned b, int f) | -1 | ENOSYS ENOMEM
int dup2(int a, int b) | -1 | EMFILE
int dup3(int a, int b, int f) | -1 | EBUSY EMFILE
int pipe2(int *p, int f) | -1 | EMFILE ENFILE
int fcntl(int fd, int c, ...) | -1 | EBADF EMFILE EINVAL
int ioctl(int fd, unsigned long r, ...) | -1 | EIO ENOTTY EINVAL
int flock(int fd, int o) | -1 | EWOULDBLOCK EINTR ENOLCK
int fstat(int fd, struct stat *s) | -1 | EIO ENOMEM
int stat(const char *p, struct stat *s) | -1 | ENOENT EACCES
int lstat(const char *p, struct stat *s) | -1 | ENOENT EACCES
int statx(int fd, const char *p, int f, unsigned m, struct statx *s) | -1 | EACCES ENOMEM
int fstatfs(int fd, struct statfs *s) | -1 | ENOSYS EIO
int access(const char *p, int m) | -1 | EACCES ENOENT
int mkdir(const char *p, mode_t m) | -1 | EACCES ENOSPC
int unlink(const char *p) | -1 | ENOENT EACCES
int rename(const char *a, const char *b) | -1 | ENOSPC EACCES
int renameat(int a, const char *b, int c, const char *d) | -1 | ENOSPC EACCES
int openat(int d, const char *p, int f, ...) | -1 | EMFILE ENOENT EACCES
int unlinkat(int d, const char *p, int f) | -1 | ENOENT EACCES
int ftruncate(int fd, off_t n) | -1 | ENOSPC EIO
int fallocate(int fd, int m, off_t o, off_t n) | -1 | ENOSPC EOPNOTSUPP
int posix_fallocate(int fd, off_t o, off_t n) | [ENOSPC] |
int fsync(int fd) | -1 | EIO ENOSPC
int fdatasync(int fd) | -1 | EIO ENOSPC
ssize_t pread(int fd, void *b, size_t n, off_t o) | -1 | EIO EINTR SHORT
ssize_t pwrite(int fd, const void *b, size_t n, off_t o) | -1 | ENOSPC EIO EINTR SHORT
int memfd_create(const char *n, unsigned f) | -1 | EMFILE ENOMEM
int msync(void *p, size_t n, int f) | -1 | EIO
int fchmod(int fd, mode_t m) | -1 | EPERM
void *mmap(void *p, size_t n, int r, int f, int fd, off_t o) | MAP_FAILED | ENOMEM EACCES
void *mremap(void *p, size_t n, size_t m, int f, ...) | MAP_FAILED | ENOMEM
int munmap(void *p, size_t n) | -1 | ENOMEM
int madvise(void *p, size_t n, int a) | -1 | EINVAL EAGAIN
int mprotect(void *p, size_t n, int r) | -1 | ENOMEM
ssize_t readlink(const char *p, char *b, size_t n) | -1 | ENOENT EACCES
DIR *opendir(const char *p) | NULL | EMFILE ENOENT ENOMEM
struct dirent *readdir(DIR *d) | NULL | EIO
char *getcwd(char *b, size_t n) | NULL | ENOENT ERANGE
int chdir(const char *p) | -1 | EACCES
ssize_t getrandom(void *b, size_t n, unsigned f) | -1 | EAGAIN EINTR ENOSYS
long syscall(long n, ...) | -1 |
int clone(int (*f)(void *), void *s, int o, void *a, ...) | -1 | EAGAIN ENOMEM EPERM
int execle(const char *p, const char *a, ...) | -1 | ENOENT EACCES ENOMEM
long ptrace(int r, ...) | -1 | EPERM ESRCH
int asprintf(char **s, const char *f, ...) | -1 | ENOMEM
FILE *fopen(const char *p, const char *m) | NULL | EMFILE ENOENT ENOMEM
char *fgets(char *s, int n, FILE *f) | NULL | EIO
ssize_t process_vm_readv(pid_t p, const struct iovec *a, unsigned long n, const struct iovec *b, unsigned long m, unsigned long f) | -1 | EPERM ESRCH EFAULT
void *dlopen(const char *p, int f) | NULL | ENOENT
void *dlsym(void *h, const char *n) | NULL | ENOENT
int dladdr(const void *p, Dl_info *i) | 0 | ENOENT
int poll(struct pollfd *p, nfds_t n, int t) | -1 | EINTR ENOMEM LATE
int epoll_create1(int f) | -1 | EMFILE ENOMEM
int epoll_ctl(int e, int o, int fd, struct epoll_event *v) | -1 | ENOMEM ENOSPC
int timerfd_create(int c, int f) | -1 | EMFILE ENFILE ENOMEM
int timerfd_settime(int t, int f, const struct itimerspec *a, struct itimerspec *b) | -1 | ECANCELED
int eventfd(unsigned n, int f) | -1 | EMFILE ENFILE ENOMEM
int eventfd_read(int fd, eventfd_t *v) | -1 | EAGAIN EINTR
int eventfd_write(int fd, eventfd_t v) | -1 | EAGAIN EINTR
int nanosleep(const struct timespec *a, struct timespec *b) | -1 | EINTR
int getrlimit(int r, struct rlimit *l) | -1 | EPERM
int setrlimit(int r, const struct rlimit *l) | -1 | EPERM
pid_t fork(void) | -1 | EAGAIN ENOMEM
pid_t waitpid(pid_t p, int *s, int o) | -1 | EINTR ECHILD
int kill(pid_t p, int s) | -1 | ESRCH EPERM
pid_t setsid(void) | -1 | EPERM
int setpgid(pid_t p, pid_t g) | -1 | EPERM ESRCH EACCES
pid_t getpgid(pid_t p) | -1 | ESRCH
pid_t getsid(pid_t p) | -1 | ESRCH
int prctl(int o, ...) | -1 | EINVAL EPERM
int setgroups(size_t n, const gid_t *g) | -1 | EPERM
int setresgid(gid_t r, gid_t e, gid_t s) | -1 | EPERM
int setresuid(uid_t r, uid_t e, uid_t s) | -1 | EPERM EAGAIN
int setenv(const char *n, const char *v, int o) | -1 | ENOMEM
int unsetenv(const char *n) | -1 | ENOMEM
int isatty(int fd) | 0 | ENOTTY EIO
int tcgetattr(int fd, struct termios *t) | -1 | EIO ENOTTY EINTR
int tcsetattr(int fd, int a, const struct termios *t) | -1 | EIO ENOTTY EINTR
pid_t tcgetpgrp(int fd) | -1 | ENOTTY EIO
int tcsetpgrp(int fd, pid_t g) | -1 | ENOTTY EPERM EIO
pid_t tcgetsid(int fd) | -1 | ENOTTY EIO
int pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *p) | [EAGAIN] |
int pthread_attr_init(pthread_attr_t *a) | [ENOMEM] |
int pthread_attr_setstacksize(pthread_attr_t *a, size_t n) | [EINVAL] |
int pthread_atfork(void (*a)(void), void (*b)(void), void (*c)(void)) | [ENOMEM] |
int pthread_key_create(pthread_key_t *k, void (*f)(void *)) | [EAGAIN] [ENOMEM] |
int pthread_setspecific(pthread_key_t k, const void *v) | [ENOMEM] |
struct event_base *event_base_new(void) | NULL | ENOMEM
int event_base_dispatch(struct event_base *b) | -1 | EINVAL
struct event *event_new(struct event_base *b, evutil_socket_t fd, short w, event_callback_fn f, void *a) | NULL | ENOMEM
int event_add(struct event *e, const struct timeval *t) | -1 | ENOMEM
int sd_listen_fds(int u) | [-EINVAL] |
int sd_listen_fds_with_names(int u, char ***n) | [-EINVAL] [-ENOMEM] |
int sd_pid_notify_with_fds(pid_t p, int u, const char *s, const int *f, unsigned n) | [-ENOBUFS] |
int sd_id128_get_boot(sd_id128_t *id) | [-ENOENT] [-EIO] |
int sd_is_socket_unix(int fd, int t, int l, const char *p, size_t n) | [-EINVAL] [0] |
int sd_notify(int u, const char *s) | [-ENOENT] [-ENOBUFS] |
int sd_notifyf(int u, const char *s, ...) | [-ENOBUFS] |
int sd_watchdog_enabled(int u, uint64_t *t) | [-EINVAL] |
"""

# They cannot fail, or what they say when they do is looked at by nobody: there is
# nobody left to tell.
NEVER = set("""
_GLOBAL_OFFSET_TABLE_ __assert_fail arc4random __errno_location __isoc99_sscanf __stack_chk_fail
__ctype_b_loc _exit exit environ optarg opterr optind stderr stdout getauxval
memcpy memmove memset memcmp strcmp strcpy strlen strncmp strncpy strnlen strrchr strstr strchr
strtol strtoull strtoul strerror strerrordesc_np strsignal snprintf vsnprintf qsort
clock_gettime free getenv secure_getenv geteuid getpid getppid gettid getpgrp getuid getopt_long
umask signal sigaction sigfillset sigemptyset sigaddset sigprocmask pthread_sigmask sched_yield
pthread_attr_destroy pthread_attr_setdetachstate pthread_mutex_lock pthread_mutex_unlock
pthread_mutex_init pthread_mutex_destroy pthread_mutex_trylock pthread_mutexattr_init
pthread_mutexattr_settype pthread_mutexattr_destroy pthread_once pthread_getspecific pthread_self
backtrace backtrace_symbols_fd dprintf fclose puts fwrite vfprintf fputs
event_assign event_initialized explicit_bzero event_base_free event_base_loopbreak event_del event_free event_pending closedir
event_active __cmsg_nxthdr gnu_dev_major gnu_dev_makedev gnu_dev_minor
""".split())

# What the raw system calls fail with.
SYSTEM_CALLS = """
openat EMFILE ENFILE ENOENT EACCES
close EINTR EIO
read EINTR EIO EAGAIN SHORT
readv EINTR EIO EAGAIN
write EINTR EIO EAGAIN SHORT
getdents64 EIO ENOMEM
fcntl EMFILE EINVAL
dup3 EMFILE EBUSY
close_range ENOSYS ENOMEM
pipe2 EMFILE ENFILE
signalfd4 EMFILE ENOMEM
epoll_create1 EMFILE ENOMEM
epoll_ctl ENOMEM ENOSPC
epoll_pwait EINTR
ppoll EINTR ENOMEM
clock_nanosleep EINTR
futex EINTR EAGAIN ETIMEDOUT
wait4 EINTR ECHILD
execve ENOENT EACCES ENOMEM
mmap ENOMEM
munmap ENOMEM
mprotect ENOMEM
prctl EINVAL EPERM
sigaltstack ENOMEM EPERM
tgkill ESRCH EAGAIN
rt_tgsigqueueinfo ESRCH EAGAIN
pidfd_open ESRCH EMFILE
ioctl EIO ENOTTY
"""

# Those that do not fail where their arguments are right, as a futex's wake does not.
SAFE = "rt_sigaction rt_sigprocmask gettid getpid sched_yield lseek clock_gettime exit_group"

HEAD = """/* Made by tests/inject/calls.py. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-id128.h>
#include <termios.h>
#include <unistd.h>
#include <grp.h>
#include <sys/file.h>

#include "tests/inject/inject.h"
#include "tests/inject/twist.h"

#define SHORT 10000
#define LATE 10001
"""


def calls():
    for line in CALLS.strip().splitlines():
        prototype, result, errnos = (part.strip() for part in line.split("|"))
        name = re.match(r".*?\b(\w+)\(", prototype).group(1)
        yield name, prototype, result, errnos.split()


def arguments(prototype):
    """(types and names as declared, the names)."""
    inside = prototype[prototype.index("(") + 1:prototype.rindex(")")]
    depth, part, parts = 0, "", []
    for c in inside + ",":
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += c
    names = []
    for part in parts:
        pointer = re.search(r"\(\*(\w+)\)", part)
        if part not in ("void", "..."):
            names.append(pointer.group(1) if pointer else re.search(r"(\w+)$", part).group(1))
    return inside, names


# How many longs behind the named arguments of a variadic call.
MORE = {"open": 1, "openat": 1, "fcntl": 1, "ioctl": 1, "syscall": 6, "prctl": 4, "mremap": 1,
        "clone": 0, "execle": 7, "ptrace": 3, "asprintf": 4, "sd_notifyf": 1}
SHORTER = {"recv": "n = 1", "send": "n = 1", "read": "n = n > 1 ? 1 : n",
           "write": "n = n > 1 ? 1 : n", "pread": "n = n > 1 ? n / 2 : n",
           "pwrite": "n = n > 1 ? n / 2 : n"}


def more_arguments(name, last):
    return [f"\tlong more[{MORE[name]}];", "\tva_list ap;", f"\tva_start(ap, {last});",
            f"\tfor (int i = 0; i < {MORE[name]}; i++)", "\t\tmore[i] = va_arg(ap, long);",
            "\tva_end(ap);"]


def system_calls():
    """The syscall wrapper's choice: C."""
    lines = [*more_arguments("syscall", "n"), "\tint code = INJECT_NONE;",
             "\tswitch (n == SYS_futex && more[1] == FUTEX_WAKE ? SYS_getpid : n) {"]
    for line in SYSTEM_CALLS.strip().splitlines():
        name, *errnos = line.split()
        lines += [f"\tcase SYS_{name}: {{",
                  f"\t\tstatic const int codes[] = {{{', '.join(errnos)}}};",
                  f"\t\tcode = inject_call({ID['syscall']}, __builtin_return_address(0), codes, "
                  f"{len(errnos)});", "\t\tbreak;", "\t}"]
    lines += [*(f"\tcase SYS_{name}:" for name in SAFE.split()),
              f"\t\tinject_call({ID['syscall']}, __builtin_return_address(0), NULL, 0);",
              "\t\tbreak;", "\tdefault:", "\t\tabort(); /* not in the list */", "\t}"]
    return lines


def special(name):
    """What else the wrapper does with its code."""
    if name == "syscall":
        return ["\tif (code == SHORT) {", "\t\tmore[2] = more[2] > 1 ? 1 : more[2];",
                "\t\tcode = INJECT_NONE;", "\t}",
                "\tif (n == SYS_openat)",
                "\t\tmore[1] = (long)twist_path((const char *)more[1]);",
                "\tif (n == SYS_close && code != INJECT_NONE)", "\t\t__real_close((int)more[0]);",
                "\tif (n == SYS_wait4 && code == ECHILD)",
                "\t\t__real_syscall(n, more[0], more[1], more[2], more[3]);"]
    if name == "dlsym":
        return ["\tif (code == INJECT_NONE && strcmp(n, \"clone\") == 0)",
                "\t\treturn (void *)__wrap_clone;"]
    if name == "close":
        return ["\tif (code != INJECT_NONE)", "\t\t__real_close(fd);"]
    if name == "poll":  # which waits on where there is no time
        return ["\tif (code == LATE && t >= 0)", "\t\treturn 0;",
                "\tif (code == LATE)", "\t\tcode = INJECT_NONE;"]
    if name == "waitpid":
        return ["\tif (code == ECHILD)", "\t\t__real_waitpid(p, s, o);"]
    return []


def wrapper(name, prototype, result, errnos):
    inside, names = arguments(prototype)
    kind = prototype[:prototype.index(name + "(")].strip()
    star = "" if kind.endswith("*") else " "
    results = re.findall(r"\[(.*?)\]", result)
    codes = errnos or results
    passed = names + [f"more[{i}]" for i in range(MORE.get(name, 0))]
    call = f"__real_{name}({', '.join(passed)})"
    lines = [f"{kind}{star}__real_{name}({inside});", f"{kind}{star}__wrap_{name}({inside});",
             f"{kind}{star}__wrap_{name}({inside})", "{",
             *(system_calls() if name == "syscall" else [
                 f"\tstatic const int codes[] = {{{', '.join(codes)}}};",
                 f"\tint code = inject_call({ID[name]}, __builtin_return_address(0), codes, "
                 f"{len(codes)});", ""])]
    if MORE.get(name) and name != "syscall":
        lines += more_arguments(name, names[-1])
    if "SHORT" in errnos:
        lines.append("\tif (code == SHORT) {")
        if name in SHORTER:
            lines.append(f"\t\t{SHORTER[name]};")
        else:
            lines += ["\t\tstruct iovec one = *m->msg_iov;", "\t\tstruct msghdr less = *m;",
                      "\t\tone.iov_len = one.iov_len > 1 ? 1 : one.iov_len;",
                      "\t\tless.msg_iov = &one;",
                      f"\t\tssize_t done = __real_{name}(fd, &less, f);"]
            if name == "recvmsg":
                lines += ["\t\tm->msg_controllen = less.msg_controllen;",
                          "\t\tm->msg_flags = less.msg_flags;"]
            lines.append("\t\treturn done;")
        lines += ["\t\tcode = INJECT_NONE;", "\t}"]
    lines += special(name)
    lines.append("\tif (code == INJECT_NONE)")
    lines.append(f"\t\treturn {call};")
    if results:
        lines.append("\treturn code;")
    else:
        lines += ["\terrno = code;", f"\treturn {result};"]
    return "\n".join([*lines, "}", ""])


ID = {name: i for i, (name, *_) in enumerate(calls())}


def undefined(objects):
    out = subprocess.run(["nm", *objects], capture_output=True, text=True, check=True).stdout
    wanted = set(re.findall(r"^ +[Uw] (\w+)$", out, re.M))
    return wanted - set(re.findall(r"^[0-9a-f]+ \w (\w+)$", out, re.M))


def check(objects):
    missing = {name for name in undefined(objects)
               if name not in ID and name not in NEVER
               and not name.startswith(("pb_", "ttylock_preload_", "__asan", "__ubsan", "__sanitizer"))}
    for name in sorted(missing):
        print(f"not known whether it can fail: {name}")
    return not missing


def main():
    what, objects = sys.argv[1], sys.argv[2:]
    if what == "flags":
        print(" ".join(f"-Wl,--wrap={name}" for name in ID))
    elif what == "source":
        print(HEAD)
        print("\n".join(wrapper(*call) for call in calls()))
        print("const char *const inject_names[] = {"
              + ", ".join(f'"{name}"' for name in ID) + ", NULL};")
    elif what == "check":
        sys.exit(0 if check(objects) else 1)


main()

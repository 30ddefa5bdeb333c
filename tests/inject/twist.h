/* twist: what daemon and library under test are told that is not so: what time it is, who
 * connects, which device a terminal is, what the kernel can do. In the program's own clock_gettime,
 * nanosleep, poll, epoll_wait, getsockopt, ioctl, close_range and fstatfs, some of which libevent
 * uses as well.
 */
#ifndef TTYLOCK_TESTS_TWIST_H
#define TTYLOCK_TESTS_TWIST_H

#include <stdbool.h>
#include <stdint.h>

/* Makes the page that the driver shares with what is under test. */
void twist_init(void);
/* As it is. */
void twist_off(void);
/* From here on time is made by the driver: it goes on by so much, and may stand still. */
void twist_skip(int64_t ms);
void twist_stop(bool still);
/* A nanosleep is so many times as long as it takes; a poll that waits in vain too, in this
 * process alone. */
void twist_naps(int times);
void twist_polls(int times);
/* Who connects is that user. */
void twist_user(unsigned uid);
/* The kernel is one from before pidfs, SO_PEERPIDFD and close_range. */
void twist_kernel(void);
/* What the file in the working directory says is what Yama says; and where the raw system
 * call finds what is at that path. */
#define TWIST_YAMA "yama"
void twist_yama(void);
const char *twist_path(const char *path);
/* What TIOCGDEV says. */
void twist_device(unsigned device);

#endif

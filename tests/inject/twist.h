/* twist: what the daemon under test is told that is not so: what time it is, who connects,
 * which device a terminal is, what the kernel can do. In the program's own clock_gettime,
 * epoll_wait, getsockopt, ioctl, close_range and fstatfs, the first two of which libevent
 * uses as well.
 */
#ifndef TTYLOCK_TESTS_TWIST_H
#define TTYLOCK_TESTS_TWIST_H

#include <stdbool.h>
#include <stdint.h>

/* Makes the page that driver and daemon share. */
void twist_init(void);
/* As it is. */
void twist_off(void);
/* From here on time is made by the driver: it goes on by so much, and may stand still. */
void twist_skip(int64_t ms);
void twist_stop(bool still);
/* Who connects is that user. */
void twist_user(unsigned uid);
/* The kernel is one from before pidfs, SO_PEERPIDFD and close_range. */
void twist_kernel(void);
/* What TIOCGDEV says. */
void twist_device(unsigned device);

#endif

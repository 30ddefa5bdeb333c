#include "pollable.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

int pollable_open(struct pollable *p)
{
	struct epoll_event event = {.events = EPOLLIN};

	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (p->epoll >= 0 && p->timer >= 0 &&
	    epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->timer, &event) == 0)
		return 0;
	int r = -errno;
	pollable_close(p);
	return r;
}

void pollable_close(struct pollable *p)
{
	struct pollable was = *p;

	*p = POLLABLE_INIT; /* first: a handler may fork */
	if (was.epoll >= 0)
		close(was.epoll);
	if (was.timer >= 0)
		close(was.timer);
}

void pollable_drop(struct pollable *p, int sock)
{
	if (p->epoll >= 0)
		epoll_ctl(p->epoll, EPOLL_CTL_DEL, sock, NULL);
}

void pollable_watch(struct pollable *p, int sock)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (p->epoll >= 0)
		epoll_ctl(p->epoll, EPOLL_CTL_ADD, sock, &event);
}

void pollable_at(struct pollable *p, int64_t when)
{
	struct itimerspec at = {.it_value = {when / 1000, when % 1000 * 1000000}};

	if (p->timer >= 0)
		timerfd_settime(p->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

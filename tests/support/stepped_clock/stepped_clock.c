/* A wall clock that a test can step, for one process: preload it (LD_PRELOAD).
 *
 * STEPPED_CLOCK  a file of eight bytes, a signed number of microseconds: what the wall clock is ahead of the real one
 *
 * The file is mapped, so that a step is seen at once, and by every thread. Clocks that measure how much time has passed
 * (CLOCK_MONOTONIC and its like) are left alone, as a real step leaves them alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MICROSECONDS 1000000LL

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static const volatile int64_t *ahead;

__attribute__((constructor)) static void prepare(void) {
    const char *name = getenv("STEPPED_CLOCK");
    real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED)
        abort(); /* a clock that cannot be stepped would make the test blind */
    ahead = mapped;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!real_clock_gettime)
        prepare();
    int result = real_clock_gettime(clock, now);
    if (result == 0 && ahead && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t whole = now->tv_sec * MICROSECONDS + now->tv_nsec / 1000 + *ahead;
        now->tv_nsec = (long)(whole % MICROSECONDS * 1000 + now->tv_nsec % 1000);
        now->tv_sec = (time_t)(whole / MICROSECONDS);
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec exact;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return result;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now)
        *now = exact.tv_sec;
    return exact.tv_sec;
}

#include "clock.h"

#include <time.h>

#define AT_ONCE_NS 1000 /* both clocks were read at once: the thread was not interrupted */
#define STEP_NS 100000  /* more than that is no inaccuracy of reading them */
#define ATTEMPTS 5

static int64_t read_clock(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t clock_monotonic(void) {
    return read_clock(CLOCK_MONOTONIC);
}

void clock_look(Clock *self) {
    int64_t closest = 0, monotonic = 0, wall = 0;
    for (int i = 0; i < ATTEMPTS && (i == 0 || closest > AT_ONCE_NS); i++) {
        int64_t before = clock_monotonic();
        int64_t between = read_clock(CLOCK_REALTIME);
        int64_t after = clock_monotonic();
        if (i > 0 && after - before >= closest) continue;
        closest = after - before;
        monotonic = before + closest / 2;
        wall = between;
    }
    if (closest <= STEP_NS || !self->is_known) clock_see(self, monotonic, wall);
    self->now_ns = clock_monotonic();
}

void clock_see(Clock *self, int64_t monotonic_ns, int64_t wall_ns) {
    int64_t offset = wall_ns - monotonic_ns, change = offset - self->offset_ns;
    if (!self->is_known || change > STEP_NS || change < -STEP_NS) {
        self->was_set = self->is_known;
        self->earlier_offset_ns = self->offset_ns;
        self->offset_ns = offset;
        self->is_known = true;
    }
    self->now_ns = monotonic_ns;
}

static bool is_possible(const Clock *self, int64_t ns) {
    return ns >= self->last_ns - STEP_NS && ns <= self->now_ns + STEP_NS;
}

int64_t clock_arrival(Clock *self, int64_t stamp_ns) {
    int64_t ns = stamp_ns ? stamp_ns - self->offset_ns : self->now_ns;
    if (stamp_ns && self->was_set) {
        /* Stamped before the clock was set forward it seems too old, by the present offset; set
         * back, it comes from the future. Otherwise it does so by the earlier one. */
        int64_t other = stamp_ns - self->earlier_offset_ns;
        if (is_possible(self, other) && (!is_possible(self, ns) || other > ns)) ns = other;
    }
    self->is_stamped = stamp_ns != 0;
    if (ns > self->now_ns) ns = self->now_ns;
    if (ns < self->last_ns) ns = self->last_ns;
    return self->last_ns = ns;
}

void clock_caught_up(Clock *self) {
    self->was_set = false;
}

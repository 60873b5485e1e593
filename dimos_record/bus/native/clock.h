/* Times of arrival: the kernel stamps packets by the wall clock, which may be set; Python's
 * time.monotonic_ns() is never set. */
#ifndef DIMOS_RECORD_CLOCK_H
#define DIMOS_RECORD_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int64_t now_ns;    /* monotonic, at the last look */
    int64_t offset_ns; /* wall clock less monotonic clock, which changes only when it is set */
    int64_t earlier_offset_ns;
    bool is_known;
    bool was_set; /* packets that wait may have been stamped by the earlier offset */
    int64_t last_ns; /* the last arrival */
    bool is_stamped; /* whether that was a stamp's */
} Clock;

int64_t clock_monotonic(void);
/* Look at both clocks; to be done when packets have just been read. */
void clock_look(Clock *self);
/* The same with given times. */
void clock_see(Clock *self, int64_t monotonic_ns, int64_t wall_ns);
/* The monotonic time of a stamp; 0 is none. It is never after now, nor before the one before. */
int64_t clock_arrival(Clock *self, int64_t stamp_ns);
/* No packet waits that was stamped before the last look. */
void clock_caught_up(Clock *self);

#endif

/* LCM's packets become messages.
 *
 * Nothing here knows of Python, sockets or threads; whoever uses an assembler from several threads
 * locks it. Memory grows with what was received, never on the word of a single packet.
 */
#ifndef DIMOS_RECORD_ASSEMBLER_H
#define DIMOS_RECORD_ASSEMBLER_H

#include "channels.h"
#include "queue.h"
#include "senders.h"

#define LCM_MAGIC_SHORT 0x4c433032u /* "LC02": a message in one packet */
#define LCM_MAGIC_LONG 0x4c433033u  /* "LC03": one of the fragments of a message */
#define LCM_SHORT_HEADER 8
#define LCM_LONG_HEADER 20
#define LCM_MAX_MESSAGE (1u << 28)

typedef struct Assembly Assembly; /* a half-received message */

typedef struct {
    Channels channels;
    Senders senders;
    Queue queue;
    uint64_t rejected;  /* packets that no LCM sends */
    int64_t now_ns;     /* the latest arrival */
    Assembly *newest, *oldest;
    int half_received;  /* messages */
    size_t half_bytes;  /* their memory */
} Assembler;

/* False if there is no memory; `max_bytes` bounds the queue. */
bool assembler_init(Assembler *self, size_t max_bytes);
/* `forget` is called for each channel's `user`. */
void assembler_clear(Assembler *self, void (*forget)(void *user));

/* Take in one packet. Address and port are as on the wire; time may not go back. */
void assembler_feed(Assembler *self, const uint8_t *packet, size_t size, uint32_t address,
                    uint16_t port, int64_t arrival_ns);

/* Who was heard, and what was lost. */
typedef struct {
    Channel *channel;
    uint64_t count;
    uint64_t dropped; /* of these, those that came complete and were dropped here */
} Loss;

typedef struct {
    uint32_t address; /* as on the wire; 0: all that are no longer remembered */
    uint16_t port;
    uint64_t received, lost;
    size_t first_loss, losses; /* which of the report's losses are its own */
} SenderReport;

typedef struct {
    SenderReport *senders;
    Loss *losses;
    size_t count, losses_count;
} Report;

/* As of now, without those of whom nothing but LCM's own test was heard; false if there is no memory. */
bool assembler_report(Assembler *self, int64_t now_ns, Report *report);
void report_clear(Report *report);

#endif

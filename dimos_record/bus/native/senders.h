/* Who sends, and by the numbers that each sender gives its messages, how many of them were lost.
 *
 * A sender numbers its messages 0, 1, 2, ... in 32 bits. What is missing in the numbers is lost;
 * a number that comes late is no longer missing, and one that comes again counts once.
 */
#ifndef DIMOS_RECORD_SENDERS_H
#define DIMOS_RECORD_SENDERS_H

#include "channels.h"

#define WINDOW 1024 /* numbers behind the highest that can still come */

/* What was lost of a channel of a sender. */
typedef struct LostChannel {
    Node node;
    struct LostChannel *next_of_sender;
    struct Sender *sender;
    Channel *channel;
    uint64_t count;
    uint64_t dropped; /* of these, those that came complete and were dropped here */
} LostChannel;

typedef struct Sender {
    Node node;
    struct Sender *fresher, *staler; /* in the order in which they were last heard */
    uint32_t address;                /* both as on the wire; 0 for the sum of the forgotten ones */
    uint16_t port;
    bool heard;
    uint32_t highest;   /* the highest number so far */
    uint64_t numbered;  /* messages that were sent, by the numbers */
    uint64_t complete;  /* of these, those that came complete */
    uint64_t received;  /* messages that came complete and were not dropped here, repeated ones too,
                         * without LCM's own */
    uint64_t dropped;   /* messages that came complete and were dropped here */
    int64_t last_ns;    /* when it was last heard */
    LostChannel *lost_channels;
    struct Assembly *assemblies; /* its half-received messages, the last begun first */
    int half_received;
    uint64_t come[WINDOW / 64]; /* by number modulo WINDOW: whether it is not missing */
} Sender;

typedef struct {
    Table table, lost_channels;
    Sender *freshest, *stalest;
    Sender *forgotten; /* the sums of those that were too many to remember; NULL: there are none */
} Senders;

bool senders_init(Senders *self);
void senders_clear(Senders *self);

/* The sender at an address, which was heard just now; NULL if it is a new one. */
Sender *senders_find(Senders *self, uint32_t address, uint16_t port);
/* A new one; NULL if there is no memory for it. */
Sender *senders_add(Senders *self, uint32_t address, uint16_t port);
/* The one to forget before a new one is added; NULL while there is room. */
Sender *senders_superfluous(const Senders *self);
/* Forget it; its sums are kept among the others'. */
void senders_forget(Senders *self, Sender *sender);

/* A message of this number was begun. `whole`: all of it was sent while we were listening. */
void sender_note(Sender *self, uint32_t number, bool whole, int64_t now_ns);
/* Whether a number is among those that are missing. */
bool sender_misses(const Sender *self, uint32_t number);
/* The message of a number came complete; `missed` says whether it was missing when it began. */
void sender_complete(Sender *self, uint32_t number, bool missed);
/* Messages that were sent and did not come; what is still on its way counts as not come. */
uint64_t sender_lost(const Sender *self);

/* Keep in mind which channel something was lost of, and how much of it was dropped here. */
void senders_note_lost(Senders *self, Sender *sender, Channel *channel, uint64_t count,
                       uint64_t dropped);

#endif

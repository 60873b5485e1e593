/* The channels that were heard. */
#ifndef DIMOS_RECORD_CHANNELS_H
#define DIMOS_RECORD_CHANNELS_H

#include "table.h"

#define LCM_MAX_CHANNEL 63 /* bytes of a name */

typedef struct {
    Node node;
    void *user; /* for whoever takes messages to keep something with it */
    uint8_t size;
    bool ignored;   /* nobody wants it: its messages are counted and dropped */
    bool announced; /* whoever takes messages knows that it is there */
    bool uncounted; /* LCM's own, by which each instance finds out whether the network delivers */
    bool transient; /* one more than are remembered: it belongs to a single message */
    char name[LCM_MAX_CHANNEL + 1];
} Channel;

typedef struct {
    Table table;
    Channel *last; /* the one that was asked for last: often it is asked for again */
} Channels;

bool channels_init(Channels *self);
/* `forget` is called for each `user` that is not NULL. */
void channels_clear(Channels *self, void (*forget)(void *user));

/* The channel of a name, known or new; NULL if the name is no UTF-8 or there is no memory. */
Channel *channels_find(Channels *self, const char *name, size_t size);
void channel_release(Channel *channel);

/* Ignore a channel that is known by a name. After `listen` none is ignored or announced. */
void channels_ignore(Channels *self, const char *name, size_t size);
void channels_listen(Channels *self);

#endif

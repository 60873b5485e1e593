#include "senders.h"

#include <stdlib.h>
#include <string.h>

#define MOST_SENDERS 1024
#define MOST_LOST_CHANNELS 65536

/* A number behind the highest is late within that time; later it is that of a process that was
 * started anew and got the same port. */
#define LATE_NS 100000000

/* One of a process's first numbers, so far behind the highest, comes again: that is no packet that
 * was doubled on its way, but a process that was started anew within that time. */
#define FIRST_NUMBERS 16
#define FARTHEST_DOUBLE 64

/* A jump ahead that nobody can have sent meanwhile: the sender was started anew. */
#define LARGEST_JUMP (1 << 28)

bool senders_init(Senders *self) {
    memset(self, 0, sizeof *self);
    return table_init(&self->table) && table_init(&self->lost_channels);
}

void senders_clear(Senders *self) {
    table_clear(&self->table);
    table_clear(&self->lost_channels);
    free(self->forgotten);
    memset(self, 0, sizeof *self);
}

static void unlink_sender(Senders *self, Sender *sender) {
    *(sender->fresher ? &sender->fresher->staler : &self->freshest) = sender->staler;
    *(sender->staler ? &sender->staler->fresher : &self->stalest) = sender->fresher;
}

static void link_as_freshest(Senders *self, Sender *sender) {
    sender->fresher = NULL;
    sender->staler = self->freshest;
    *(self->freshest ? &self->freshest->fresher : &self->stalest) = sender;
    self->freshest = sender;
}

static uint32_t address_hash(uint32_t address, uint16_t port) {
    uint32_t key[] = {address, port};
    return hash_bytes(key, sizeof key);
}

static bool is_at(const Sender *sender, uint32_t address, uint16_t port) {
    return sender->address == address && sender->port == port;
}

Sender *senders_find(Senders *self, uint32_t address, uint16_t port) {
    if (self->freshest && is_at(self->freshest, address, port)) return self->freshest;
    Node *node = table_bucket(&self->table, address_hash(address, port));
    while (node && !is_at((Sender *)node, address, port)) node = node->next;
    if (node) {
        unlink_sender(self, (Sender *)node);
        link_as_freshest(self, (Sender *)node);
    }
    return (Sender *)node;
}

Sender *senders_add(Senders *self, uint32_t address, uint16_t port) {
    Sender *sender = calloc(1, sizeof *sender);
    if (!sender) return NULL;
    sender->address = address;
    sender->port = port;
    table_add(&self->table, &sender->node, address_hash(address, port));
    link_as_freshest(self, sender);
    return sender;
}

Sender *senders_superfluous(const Senders *self) {
    return self->table.count >= MOST_SENDERS ? self->stalest : NULL;
}

void senders_forget(Senders *self, Sender *sender) {
    if (!self->forgotten) self->forgotten = calloc(1, sizeof *self->forgotten);
    Sender *sums = self->forgotten;
    for (LostChannel *lost = sender->lost_channels, *next; lost; lost = next) {
        next = lost->next_of_sender;
        table_remove(&self->lost_channels, &lost->node);
        if (sums) senders_note_lost(self, sums, lost->channel, lost->count, lost->dropped);
        free(lost);
    }
    if (sums) {
        sums->received += sender->received;
        sums->numbered += sender_lost(sender);
    }
    unlink_sender(self, sender);
    table_remove(&self->table, &sender->node);
    free(sender);
}

static void set(Sender *self, uint32_t number, bool come) {
    uint64_t bit = (uint64_t)1 << number % 64;
    uint64_t *word = &self->come[number % WINDOW / 64];
    *word = come ? *word | bit : *word & ~bit;
}

/* Whether a number is the highest or at most a window behind it. */
static bool is_recent(const Sender *self, uint32_t number) {
    return self->highest - number < WINDOW;
}

bool sender_misses(const Sender *self, uint32_t number) {
    return is_recent(self, number) &&
           !(self->come[number % WINDOW / 64] & (uint64_t)1 << number % 64);
}

static void begin_anew(Sender *self, uint32_t number, bool whole) {
    memset(self->come, 0xff, sizeof self->come); /* nothing from before is missing */
    self->heard = true;
    self->highest = number;
    if (whole) {
        set(self, number, false);
        self->numbered++;
    }
}

static void advance(Sender *self, uint32_t ahead) {
    if (ahead >= WINDOW)
        memset(self->come, 0, sizeof self->come);
    else
        for (uint32_t i = 1; i <= ahead; i++) set(self, self->highest + i, false);
    self->highest += ahead;
    self->numbered += ahead;
}

static bool is_first_again(const Sender *self, uint32_t number) {
    return number < FIRST_NUMBERS && self->highest - number > FARTHEST_DOUBLE &&
           !sender_misses(self, number);
}

void sender_note(Sender *self, uint32_t number, bool whole, int64_t now_ns) {
    int32_t ahead = (int32_t)(number - self->highest);
    bool is_late = ahead <= 0 && ahead > -WINDOW && now_ns - self->last_ns <= LATE_NS &&
                   !is_first_again(self, number);
    if (!self->heard || (ahead <= 0 && !is_late) || ahead > LARGEST_JUMP)
        begin_anew(self, number, whole);
    else if (ahead > 0)
        advance(self, (uint32_t)ahead);
    self->last_ns = now_ns;
}

void sender_complete(Sender *self, uint32_t number, bool missed) {
    if (is_recent(self, number)) {
        missed = sender_misses(self, number);
        set(self, number, true);
    }
    self->complete += missed;
}

uint64_t sender_lost(const Sender *self) {
    uint64_t come = self->complete < self->numbered ? self->complete : self->numbered;
    return self->numbered - come + self->dropped;
}

static uint32_t lost_hash(const Sender *sender, const Channel *channel) {
    const void *key[] = {sender, channel};
    return hash_bytes(key, sizeof key);
}

void senders_note_lost(Senders *self, Sender *sender, Channel *channel, uint64_t count,
                       uint64_t dropped) {
    if (channel->transient) return;
    uint32_t hash = lost_hash(sender, channel);
    for (Node *node = table_bucket(&self->lost_channels, hash); node; node = node->next) {
        LostChannel *lost = (LostChannel *)node;
        if (lost->sender == sender && lost->channel == channel) {
            lost->count += count;
            lost->dropped += dropped;
            return;
        }
    }
    LostChannel *lost = NULL;
    if (self->lost_channels.count < MOST_LOST_CHANNELS) lost = calloc(1, sizeof *lost);
    if (!lost) return;
    lost->sender = sender;
    lost->channel = channel;
    lost->count = count;
    lost->dropped = dropped;
    lost->next_of_sender = sender->lost_channels;
    sender->lost_channels = lost;
    table_add(&self->lost_channels, &lost->node, hash);
}

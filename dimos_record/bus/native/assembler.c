#include "assembler.h"

#include <stdlib.h>
#include <string.h>

#define MOST_HALF_BYTES (64 << 20) /* unless a single message is larger */
#define MOST_HALF_RECEIVED 1024
#define MOST_HALF_PER_SENDER 16
#define PATIENCE_NS 2000000000 /* a message of which nothing came for so long is given up */
#define ROOM_ON_TRUST (1 << 20) /* memory for a message of which nothing is known yet */

typedef struct {
    uint32_t offset;
    uint32_t end; /* 0: it has not come; else one more than the offset behind its data */
} Fragment;

/* A fragment that lies farther ahead than there is memory yet. */
typedef struct Ahead {
    struct Ahead *next;
    uint32_t offset, size;
    uint8_t data[];
} Ahead;

struct Assembly {
    Assembly *newer, *older; /* in the order in which something last came */
    Assembly *next_of_sender;
    Sender *sender;
    uint32_t number;
    uint32_t size, received; /* bytes of data */
    uint32_t room;           /* bytes of data that the block has room for */
    uint16_t fragments, missing;
    bool is_missed;  /* the sender misses this number: it is lost if it is not completed */
    bool is_skipped; /* its channel was ignored when something of it came */
    int64_t last_ns;
    size_t bytes;     /* memory */
    Channel *channel; /* NULL until the first fragment comes */
    Block *block;     /* NULL if nothing of it is kept */
    Ahead *ahead;
    Fragment fragment[];
};

/* What a packet says. */
typedef struct {
    uint32_t number, size, offset;
    uint16_t fragment, fragments;
    const char *name; /* NULL: only the first fragment has one */
    size_t name_size;
    const uint8_t *data;
    size_t data_size;
} Packet;

bool assembler_init(Assembler *self, size_t max_bytes) {
    memset(self, 0, sizeof *self);
    queue_init(&self->queue, max_bytes);
    return channels_init(&self->channels) && senders_init(&self->senders);
}

/* --- half-received messages */

static void unlink_assembly(Assembler *self, Assembly *one) {
    *(one->newer ? &one->newer->older : &self->newest) = one->older;
    *(one->older ? &one->older->newer : &self->oldest) = one->newer;
}

static void link_as_newest(Assembler *self, Assembly *one) {
    one->newer = NULL;
    one->older = self->newest;
    *(self->newest ? &self->newest->newer : &self->oldest) = one;
    self->newest = one;
}

static void account(Assembler *self, Assembly *one, size_t bytes) {
    one->bytes += bytes;
    self->half_bytes += bytes;
}

static void free_assembly(Assembler *self, Assembly *one) {
    Assembly **place = &one->sender->assemblies;
    while (*place != one) place = &(*place)->next_of_sender;
    *place = one->next_of_sender;
    one->sender->half_received--;
    unlink_assembly(self, one);
    self->half_received--;
    self->half_bytes -= one->bytes;
    for (Ahead *ahead = one->ahead, *next; ahead; ahead = next) {
        next = ahead->next;
        free(ahead);
    }
    channel_release(one->channel);
    free(one->block);
    free(one);
}

static void give_up(Assembler *self, Assembly *one) {
    if (one->channel && one->is_missed)
        senders_note_lost(&self->senders, one->sender, one->channel, 1, 0);
    free_assembly(self, one);
}

void assembler_clear(Assembler *self, void (*forget)(void *user)) {
    while (self->oldest) free_assembly(self, self->oldest);
    queue_clear(&self->queue);
    senders_clear(&self->senders);
    channels_clear(&self->channels, forget);
}

static Assembly *find_assembly(const Sender *sender, uint32_t number) {
    Assembly *one = sender->assemblies;
    while (one && one->number != number) one = one->next_of_sender;
    return one;
}

static Assembly *oldest_of(const Sender *sender) {
    Assembly *one = sender->assemblies;
    while (one->next_of_sender) one = one->next_of_sender;
    return one;
}

static void give_up_stale(Assembler *self, int64_t now_ns) {
    while (self->oldest && now_ns - self->oldest->last_ns > PATIENCE_NS)
        give_up(self, self->oldest);
}

/* Keep the half-received messages within their bounds, at the expense of all but one. */
static void keep_bounds(Assembler *self, const Assembly *but) {
    while (self->oldest != but &&
           (self->half_bytes > MOST_HALF_BYTES || self->half_received > MOST_HALF_RECEIVED))
        give_up(self, self->oldest);
}

static Assembly *new_assembly(Assembler *self, Sender *sender, const Packet *packet) {
    if (sender->half_received == MOST_HALF_PER_SENDER) give_up(self, oldest_of(sender));
    size_t bytes = sizeof(Assembly) + packet->fragments * sizeof(Fragment);
    Assembly *one = calloc(1, bytes);
    if (!one) return NULL;
    one->sender = sender;
    one->number = packet->number;
    one->size = packet->size;
    one->fragments = one->missing = packet->fragments;
    one->is_missed = sender_misses(sender, packet->number);
    one->next_of_sender = sender->assemblies;
    sender->assemblies = one;
    sender->half_received++;
    link_as_newest(self, one);
    self->half_received++;
    account(self, one, bytes);
    return one;
}

/* Have room for data up to some byte; false if there is no memory, or so much is not justified by
 * the bytes that have come. */
static bool make_room(Assembler *self, Assembly *one, size_t end, size_t come) {
    size_t room = 2 * come > ROOM_ON_TRUST ? 2 * come : ROOM_ON_TRUST;
    room = room < one->size ? room : one->size;
    if (one->block && end <= one->room) return true;
    if (end > room) return false;
    Block *block = block_for_record(&self->queue, one->block, room);
    if (!block) return false;
    account(self, one, room - one->room);
    one->block = block;
    one->room = (uint32_t)room;
    return true;
}

static void store(const Assembly *one, uint32_t offset, const void *data, size_t size) {
    memcpy(((Record *)one->block->bytes)->data + offset, data, size);
}

static bool store_ahead(Assembler *self, Assembly *one, const Packet *packet) {
    Ahead *ahead = malloc(sizeof *ahead + packet->data_size);
    if (!ahead) return false;
    ahead->offset = packet->offset;
    ahead->size = (uint32_t)packet->data_size;
    memcpy(ahead->data, packet->data, packet->data_size);
    ahead->next = one->ahead;
    one->ahead = ahead;
    account(self, one, sizeof *ahead + packet->data_size);
    return true;
}

/* Whether the fragments lie one behind the other and make up the whole. */
static bool is_seamless(const Assembly *one) {
    uint32_t end = 0;
    for (int i = 0; i < one->fragments; i++) {
        if (one->fragment[i].offset != end) return false;
        end = one->fragment[i].end - 1;
    }
    return end == one->size;
}

static void enqueue_assembly(Assembler *self, Assembly *one, int64_t arrival_ns) {
    Sender *sender = one->sender;
    if (!one->is_skipped) {
        bool has_memory = make_room(self, one, one->size, one->size);
        if (!has_memory || queue_is_full(&self->queue)) {
            sender->dropped++;
            senders_note_lost(&self->senders, sender, one->channel, 1, 1);
            return;
        }
        for (const Ahead *ahead = one->ahead; ahead; ahead = ahead->next)
            store(one, ahead->offset, ahead->data, ahead->size);
        Record *record = (Record *)one->block->bytes;
        record->arrival_ns = arrival_ns;
        record->channel = one->channel;
        record->size = one->size;
        queue_append_block(&self->queue, one->block);
        one->block = NULL;
        one->channel = NULL;
    }
    sender->received++;
}

static void complete(Assembler *self, Assembly *one, int64_t arrival_ns) {
    if (is_seamless(one)) {
        sender_complete(one->sender, one->number, one->is_missed);
        enqueue_assembly(self, one, arrival_ns);
        free_assembly(self, one);
    } else {
        self->rejected++;
        give_up(self, one);
    }
}

/* --- packets */

static uint32_t read_u32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint16_t read_u16(const uint8_t *p) {
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* Split off the name at the start of the data; false if there is none, or one that is too long. */
static bool read_name(Packet *packet) {
    size_t most = packet->data_size < LCM_MAX_CHANNEL + 1 ? packet->data_size : LCM_MAX_CHANNEL + 1;
    const uint8_t *end = memchr(packet->data, 0, most);
    if (!end) return false;
    packet->name = (const char *)packet->data;
    packet->name_size = (size_t)(end - packet->data);
    packet->data += packet->name_size + 1;
    packet->data_size -= packet->name_size + 1;
    return true;
}

/* Read a packet; false if it is not one of LCM's. */
static bool read_packet(Packet *packet, const uint8_t *bytes, size_t size) {
    if (size < LCM_SHORT_HEADER) return false;
    uint32_t magic = read_u32(bytes);
    packet->number = read_u32(bytes + 4);
    if (magic == LCM_MAGIC_SHORT) {
        packet->data = bytes + LCM_SHORT_HEADER;
        packet->data_size = size - LCM_SHORT_HEADER;
        return read_name(packet);
    }
    if (magic != LCM_MAGIC_LONG || size < LCM_LONG_HEADER) return false;
    packet->size = read_u32(bytes + 8);
    packet->offset = read_u32(bytes + 12);
    packet->fragment = read_u16(bytes + 16);
    packet->fragments = read_u16(bytes + 18);
    packet->data = bytes + LCM_LONG_HEADER;
    packet->data_size = size - LCM_LONG_HEADER;
    if (packet->fragment == 0 && !read_name(packet)) return false;
    return packet->fragment < packet->fragments && packet->size <= LCM_MAX_MESSAGE &&
           packet->fragments <= packet->size + 1 && packet->offset <= packet->size && packet->data_size <= packet->size - packet->offset;
}

static Sender *find_sender(Assembler *self, uint32_t address, uint16_t port) {
    Sender *sender = senders_find(&self->senders, address, port);
    if (sender) return sender;
    Sender *superfluous = senders_superfluous(&self->senders);
    if (superfluous) {
        while (superfluous->assemblies) give_up(self, superfluous->assemblies);
        senders_forget(&self->senders, superfluous);
    }
    return senders_add(&self->senders, address, port);
}

static void take_short(Assembler *self, Sender *sender, const Packet *packet, Channel *channel) {
    sender_note(sender, packet->number, true, self->now_ns);
    sender_complete(sender, packet->number, false);
    if (channel->ignored) {
        sender->received += !channel->uncounted;
        channel_release(channel);
    } else if (!queue_is_full(&self->queue) &&
               queue_append(&self->queue, self->now_ns, channel, packet->data,
                            (uint32_t)packet->data_size)) {
        sender->received += !channel->uncounted;
    } else {
        sender->dropped++;
        senders_note_lost(&self->senders, sender, channel, 1, 1);
        channel_release(channel);
    }
}

/* The half-received message that a fragment belongs to, a new one if need be. */
static Assembly *assembly_for(Assembler *self, Sender *sender, const Packet *packet) {
    Assembly *one = find_assembly(sender, packet->number);
    if (one && (one->size != packet->size || one->fragments != packet->fragments)) {
        give_up(self, one); /* of a process that was started anew and has the same port */
        one = NULL;
    }
    if (one) {
        sender->last_ns = self->now_ns;
        unlink_assembly(self, one);
        link_as_newest(self, one);
    } else {
        sender_note(sender, packet->number, packet->fragment == 0, self->now_ns);
        one = new_assembly(self, sender, packet);
    }
    if (one) one->last_ns = self->now_ns;
    return one;
}

/* Nothing more of it is kept, since nobody wants it. */
static void skip(Assembler *self, Assembly *one) {
    one->is_skipped = true;
    if (one->block) account(self, one, -(size_t)one->room);
    free(one->block);
    one->block = NULL;
    one->room = 0;
}

/* Keep what a fragment brings; false if there is no memory. */
static bool keep(Assembler *self, Assembly *one, const Packet *packet) {
    if (one->channel && one->channel->ignored) skip(self, one);
    if (one->is_skipped) return true;
    size_t end = packet->offset + packet->data_size;
    if (!make_room(self, one, end, one->received + packet->data_size))
        return store_ahead(self, one, packet);
    store(one, packet->offset, packet->data, packet->data_size);
    return true;
}

static void take_fragment(Assembler *self, Sender *sender, const Packet *packet, Channel *channel) {
    Assembly *one = assembly_for(self, sender, packet);
    Fragment *fragment = one ? &one->fragment[packet->fragment] : NULL;
    if (!one || fragment->end || packet->data_size > one->size - one->received) {
        channel_release(channel); /* no memory, a repetition, or more than the whole */
        return;
    }
    if (channel) one->channel = channel;
    if (!keep(self, one, packet)) {
        give_up(self, one);
        return;
    }
    fragment->offset = packet->offset;
    fragment->end = packet->offset + (uint32_t)packet->data_size + 1;
    one->received += (uint32_t)packet->data_size;
    if (--one->missing == 0)
        complete(self, one, self->now_ns);
    else
        keep_bounds(self, one);
}

void assembler_feed(Assembler *self, const uint8_t *bytes, size_t size, uint32_t address,
                    uint16_t port, int64_t arrival_ns) {
    if (arrival_ns > self->now_ns) self->now_ns = arrival_ns;
    give_up_stale(self, self->now_ns);
    Packet packet = {0};
    if (!read_packet(&packet, bytes, size)) {
        self->rejected++;
        return;
    }
    Channel *channel = NULL;
    if (packet.name) {
        channel = channels_find(&self->channels, packet.name, packet.name_size);
        if (!channel) {
            self->rejected++;
            return;
        }
    }
    Sender *sender = find_sender(self, address, port);
    if (!sender)
        channel_release(channel);
    else if (packet.fragments)
        take_fragment(self, sender, &packet, channel);
    else
        take_short(self, sender, &packet, channel);
}

/* --- the report */

/* Whether more of a half-received message may come: it is the last that its sender has begun. */
static bool may_be_completed(const Assembly *one) {
    return one->number == one->sender->highest;
}

static void report_sender(const Sender *sender, Report *report) {
    if (!sender->received && !sender_lost(sender)) return; /* only LCM's own test came from it */
    SenderReport *own = &report->senders[report->count++];
    *own = (SenderReport){
        .address = sender->address,
        .port = sender->port,
        .received = sender->received,
        .lost = sender_lost(sender),
        .first_loss = report->losses_count,
    };
    for (const LostChannel *lost = sender->lost_channels; lost; lost = lost->next_of_sender)
        report->losses[report->losses_count++] =
            (Loss){lost->channel, lost->count, lost->dropped};
    for (const Assembly *one = sender->assemblies; one; one = one->next_of_sender) {
        if (!one->is_missed) continue;
        if (may_be_completed(one)) {
            own->lost -= own->lost > 0;
        } else if (one->channel && !one->channel->transient) {
            report->losses[report->losses_count++] = (Loss){one->channel, 1, 0};
        }
    }
    own->losses = report->losses_count - own->first_loss;
}

bool assembler_report(Assembler *self, int64_t now_ns, Report *report) {
    give_up_stale(self, now_ns);
    size_t losses = self->senders.lost_channels.count + (size_t)self->half_received;
    *report = (Report){
        .senders = calloc(self->senders.table.count + 1, sizeof *report->senders),
        .losses = calloc(losses + 1, sizeof *report->losses),
    };
    if (!report->senders || !report->losses) {
        report_clear(report);
        return false;
    }
    for (const Sender *one = self->senders.stalest; one; one = one->fresher)
        report_sender(one, report);
    if (self->senders.forgotten) report_sender(self->senders.forgotten, report);
    return true;
}

void report_clear(Report *report) {
    free(report->senders);
    free(report->losses);
    *report = (Report){0};
}

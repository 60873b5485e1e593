#include "channels.h"

#include <stdlib.h>
#include <string.h>

#define MOST_REMEMBERED 65536
#define SELF_TEST "LCM_SELF_TEST"

bool channels_init(Channels *self) {
    self->last = NULL;
    return table_init(&self->table);
}

void channels_clear(Channels *self, void (*forget)(void *user)) {
    for (Node *node = table_first(&self->table); node; node = table_after(&self->table, node))
        if (((Channel *)node)->user) forget(((Channel *)node)->user);
    table_clear(&self->table);
}

static bool is_named(const Channel *channel, const char *name, size_t size) {
    return channel->size == size && memcmp(channel->name, name, size) == 0;
}

static Channel *find_known(const Channels *self, const char *name, size_t size, uint32_t hash) {
    for (Node *node = table_bucket(&self->table, hash); node; node = node->next)
        if (node->hash == hash && is_named((Channel *)node, name, size)) return (Channel *)node;
    return NULL;
}

/* As strict as Python is: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
static bool is_utf8(const char *text, size_t size) {
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *p = (const uint8_t *)text, *end = p + size;
    while (p < end) {
        int length = *p < 0x80 ? 1 : *p < 0xc0 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf8 ? 4 : 0;
        if (length == 0 || end - p < length) return false;
        uint32_t code = length == 1 ? *p : *p & (0x7f >> length);
        for (int i = 1; i < length; i++) {
            if ((p[i] & 0xc0) != 0x80) return false;
            code = code << 6 | (p[i] & 0x3f);
        }
        if (code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
            return false;
        p += length;
    }
    return true;
}

Channel *channels_find(Channels *self, const char *name, size_t size) {
    if (self->last && is_named(self->last, name, size)) return self->last;
    uint32_t hash = hash_bytes(name, size);
    Channel *channel = find_known(self, name, size, hash);
    if (!channel) {
        if (!is_utf8(name, size) || !(channel = calloc(1, sizeof *channel))) return NULL;
        channel->size = (uint8_t)size;
        memcpy(channel->name, name, size);
        channel->uncounted = is_named(channel, SELF_TEST, sizeof SELF_TEST - 1);
        channel->transient = self->table.count >= MOST_REMEMBERED;
        if (channel->transient) return channel;
        table_add(&self->table, &channel->node, hash);
    }
    return self->last = channel;
}

void channel_release(Channel *channel) {
    if (channel && channel->transient) free(channel);
}

void channels_ignore(Channels *self, const char *name, size_t size) {
    Channel *channel = find_known(self, name, size, hash_bytes(name, size));
    if (channel) channel->ignored = true;
}

void channels_listen(Channels *self) {
    for (Node *node = table_first(&self->table); node; node = table_after(&self->table, node))
        ((Channel *)node)->ignored = ((Channel *)node)->announced = false;
}

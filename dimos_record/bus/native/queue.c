#include "queue.h"

#include <stdlib.h>
#include <string.h>

#define USUAL_CAPACITY (128 * 1024)
#define LARGEST_SHARED (16 * 1024) /* a larger record gets a block of its own */
#define MOST_SPARES 4
#define LARGEST_SPARE (4 << 20)

void queue_init(Queue *self, size_t max_bytes) {
    memset(self, 0, sizeof *self);
    self->max_bytes = max_bytes;
}

void queue_clear(Queue *self) {
    blocks_free(self->head);
    blocks_free(self->spares);
    memset(self, 0, sizeof *self);
}

bool queue_is_full(const Queue *self) {
    return self->bytes >= self->max_bytes;
}

int64_t queue_first_arrival(const Queue *self) {
    return ((const Record *)self->head->bytes)->arrival_ns;
}

size_t record_span(uint32_t size) {
    return (sizeof(Record) + size + 15) & ~(size_t)15;
}

/* Memory that was used before is much faster than what the kernel has to map first. */
static Block *find_spare(Queue *self, size_t capacity) {
    for (Block **place = &self->spares; *place; place = &(*place)->next) {
        Block *block = *place;
        if (block->capacity < capacity || block->capacity / 2 > capacity) continue;
        *place = block->next;
        block->next = NULL;
        return block;
    }
    return NULL;
}

static void keep_spare(Queue *self, Block *block) {
    *block = (Block){.capacity = block->capacity, .next = self->spares};
    self->spares = block;
    Block *last = block;
    for (int i = 1; i < MOST_SPARES && last; i++) last = last->next;
    if (!last) return;
    blocks_free(last->next);
    last->next = NULL;
}

static Block *new_block(Queue *self, size_t capacity) {
    Block *block = find_spare(self, capacity);
    if (block || !(block = malloc(sizeof *block + capacity))) return block;
    *block = (Block){.capacity = capacity};
    return block;
}

Block *block_for_record(Queue *queue, Block *block, size_t room) {
    size_t capacity = (sizeof(Record) + room + 15) & ~(size_t)15;
    if (!block) return new_block(queue, capacity);
    Block *larger = realloc(block, sizeof *block + capacity);
    if (larger) larger->capacity = capacity;
    return larger;
}

static void link_block(Queue *self, Block *block) {
    if (self->tail)
        self->tail->next = block;
    else
        self->head = block;
    self->tail = block;
}

/* The last block, if a record fits into it, or a new one; NULL if there is no memory. */
static Block *block_with_room(Queue *self, size_t span) {
    Block *block = self->tail;
    if (block && block->capacity - block->used >= span) return block;
    block = new_block(self, span > LARGEST_SHARED ? span : USUAL_CAPACITY);
    if (block) link_block(self, block);
    return block;
}

bool queue_append(Queue *self, int64_t arrival_ns, Channel *channel, const void *data,
                  uint32_t size) {
    size_t span = record_span(size);
    Block *block = block_with_room(self, span);
    if (!block) return false;
    Record *record = (Record *)(block->bytes + block->used);
    record->arrival_ns = arrival_ns;
    record->channel = channel;
    record->size = size;
    memcpy(record->data, data, size);
    block->used += span;
    self->bytes += span;
    self->appended++;
    return true;
}

void queue_append_block(Queue *self, Block *block) {
    block->used = record_span(((Record *)block->bytes)->size);
    link_block(self, block);
    self->bytes += block->used;
    self->appended++;
}

Block *queue_detach(Queue *self) {
    Block *list = self->head;
    self->head = self->tail = NULL;
    return list;
}

void queue_taken(Queue *self, size_t bytes, Block *done) {
    self->bytes -= bytes;
    if (done && done->capacity <= LARGEST_SPARE)
        keep_spare(self, done);
    else
        free(done);
}

Record *block_next(Block *block) {
    if (block->read == block->used) return NULL;
    Record *record = (Record *)(block->bytes + block->read);
    block->read += record_span(record->size);
    return record;
}

void blocks_free(Block *list) {
    for (Block *next; list; list = next) {
        next = list->next;
        for (Record *record; (record = block_next(list));) channel_release(record->channel);
        free(list);
    }
}

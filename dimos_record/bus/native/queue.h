/* The messages that wait to be taken: a bounded list of blocks of memory. */
#ifndef DIMOS_RECORD_QUEUE_H
#define DIMOS_RECORD_QUEUE_H

#include "channels.h"

/* A message. */
typedef struct {
    int64_t arrival_ns;
    Channel *channel;
    uint32_t size;
    uint8_t data[];
} Record;

/* Memory that holds records, one after the other. */
typedef struct Block {
    struct Block *next;
    size_t capacity, used, read;
    _Alignas(16) uint8_t bytes[];
} Block;

typedef struct {
    size_t max_bytes; /* it is full when it holds that much, or once more than that */
    size_t bytes;     /* what it holds, and what was detached and is not yet taken */
    uint64_t appended; /* messages so far */
    Block *head, *tail;
    Block *spares; /* empty ones, the last freed first */
} Queue;

void queue_init(Queue *self, size_t max_bytes);
void queue_clear(Queue *self);
bool queue_is_full(const Queue *self);
/* When the first message arrived; there is one. */
int64_t queue_first_arrival(const Queue *self);

/* Append a message; false if there is no memory. The channel is the queue's from then on. */
bool queue_append(Queue *self, int64_t arrival_ns, Channel *channel, const void *data,
                  uint32_t size);
/* Append a block with a single record. */
void queue_append_block(Queue *self, Block *block);

/* Everything that is queued, as a list of blocks that nobody else touches any more. */
Block *queue_detach(Queue *self);
/* So many bytes were taken from a detached block, which is `done` (and freed) if it is not NULL. */
void queue_taken(Queue *self, size_t bytes, Block *done);

/* A block for a record whose data has so much room; NULL if there is no memory. `block` is the one
 * that it replaces, contents included, or NULL. */
Block *block_for_record(Queue *queue, Block *block, size_t room);
/* The next record of a block, NULL at its end. */
Record *block_next(Block *block);
/* What a record takes of a block. */
size_t record_span(uint32_t size);
void blocks_free(Block *list);

#endif

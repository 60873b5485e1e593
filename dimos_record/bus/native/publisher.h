/* Sends messages to an LCM network, as LCM itself does. */
#ifndef DIMOS_RECORD_PUBLISHER_H
#define DIMOS_RECORD_PUBLISHER_H

#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name;
    size_t name_size; /* without the zero behind it, which is there */
    const uint8_t *data;
    size_t size;
} Outgoing;

typedef struct {
    struct sockaddr_in group;
    int ttl, udp;    /* descriptor, -1: closed */
    uint32_t number; /* of the next message */
    size_t longest_segment; /* the longest packets that the kernel takes many of at once */
    pthread_mutex_t lock;
    struct Batch *batch;
} Publisher;

/* Open the socket; an errno, or 0. Address and port are as on the wire. */
int publisher_open(Publisher *self, uint32_t address, uint16_t port, int ttl);
/* The same in a forked process: a socket of its own, since receivers tell senders by their port. */
int publisher_reopen(Publisher *self);
void publisher_close(Publisher *self);
void publisher_clear(Publisher *self);

/* Send messages; an errno, or 0. Those before the one at fault are sent. */
int publisher_send(Publisher *self, const Outgoing *messages, size_t count);

#endif

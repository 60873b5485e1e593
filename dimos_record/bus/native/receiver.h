/* A thread that reads a multicast socket into an assembler. */
#ifndef DIMOS_RECORD_RECEIVER_H
#define DIMOS_RECORD_RECEIVER_H

#include <pthread.h>

#include "assembler.h"
#include "clock.h"

typedef struct {
    Assembler assembler;
    pthread_mutex_t lock; /* of everything but the thread's own */
    pthread_cond_t news;
    pthread_t thread;
    bool is_running; /* the thread is there; only who opens and closes uses it */
    int udp, wake;   /* descriptors, -1: none */
    bool stop;
    bool is_interrupted; /* whoever waits for messages has to look at something else */
    int error;           /* errno of what ended the thread; 0: nothing did */
    _Atomic int64_t patience_ns; /* how long to let packets gather in the kernel before they are read */
    uint64_t taken;      /* messages that have left the queue */
    uint64_t marks;      /* how many were asked for */
    int64_t mark_ns;     /* when the last was */
    uint64_t marks_passed;   /* so many have got everything that had arrived into the queue */
    uint64_t mark_position;  /* messages that were in the queue, or had been, when they passed */
    uint32_t drops;          /* by the packets' own account */
    uint32_t final_drops;    /* when the socket was closed */
    Clock clock;             /* the thread's own */
    int usual_size;          /* the thread's own: bytes of a packet, averaged over the last few */
    struct Packets *packets; /* the thread's own */
} Receiver;

/* Open the socket and start the thread; an errno, or 0. Address and port are as on the wire. */
int receiver_open(Receiver *self, uint32_t address, uint16_t port, int receive_buffer,
                  size_t max_bytes);
/* End the thread and close the socket; messages can still be taken. */
void receiver_close(Receiver *self);
void receiver_clear(Receiver *self, void (*forget)(void *user));
/* In a forked process, which has neither the thread nor a use for the lock: only close. */
void receiver_abandon(Receiver *self);

/* Make whoever waits for messages come back at once. */
void receiver_interrupt(Receiver *self);
/* Wait for messages, unless there are some; an errno if there will be none any more, or 0. */
int receiver_wait(Receiver *self, Block **blocks, int64_t timeout_ns);

/* Ask to be told when everything that has arrived by now is in the queue; the number to wait for. */
uint64_t receiver_mark(Receiver *self);
/* The number of the last mark before which everything is taken. */
uint64_t receiver_reached(Receiver *self);

/* Packets that the kernel dropped. */
uint32_t receiver_drops(Receiver *self);

#endif

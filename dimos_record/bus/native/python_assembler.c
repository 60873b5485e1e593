/* The class Assembler: what a Receiver does with packets, one packet at a time. */
#include "python.h"

#include <arpa/inet.h>

typedef struct {
    PyObject_HEAD
    Assembler assembler;
    Taking taking;
} AssemblerObject;

static void dealloc(AssemblerObject *self) {
    blocks_free(self->taking.blocks);
    assembler_clear(&self->assembler, forget_object);
    free_object((PyObject *)self);
}

static PyObject *new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"max_bytes", NULL};
    Py_ssize_t max_bytes = DEFAULT_MAX_BYTES;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|n:Assembler", names, &max_bytes)) return NULL;
    AssemblerObject *self = (AssemblerObject *)new_object(type);
    if (!self) return NULL;
    if (assembler_init(&self->assembler, (size_t)max_bytes)) return (PyObject *)self;
    Py_DECREF(self);
    return PyErr_NoMemory();
}

static PyObject *feed(AssemblerObject *self, PyObject *args) {
    const char *packet;
    Py_ssize_t size;
    uint32_t address;
    int port;
    long long arrival_ns;
    if (!PyArg_ParseTuple(args, "y#O&iL:feed", &packet, &size, parse_address, &address, &port,
                          &arrival_ns))
        return NULL;
    if (port < 0 || port > 65535) {
        PyErr_Format(PyExc_ValueError, "%d is not a port", port);
        return NULL;
    }
    assembler_feed(&self->assembler, (const uint8_t *)packet, (size_t)size, address,
                   htons((uint16_t)port), arrival_ns);
    Py_RETURN_NONE;
}

static PyObject *take(AssemblerObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"max_messages", "max_bytes", NULL};
    Py_ssize_t max_messages = PY_SSIZE_T_MAX, max_bytes = PY_SSIZE_T_MAX;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|nn:take", names, &max_messages, &max_bytes))
        return NULL;
    Block **end = &self->taking.blocks;
    while (*end) end = &(*end)->next;
    *end = queue_detach(&self->assembler.queue);
    PyObject *lists = take_lists(&self->taking, max_messages, max_bytes);
    return_blocks(&self->taking, &self->assembler.queue);
    if (!lists) return NULL;
    PyObject *messages = PyTuple_GetItem(lists, 0);
    Py_INCREF(messages);
    Py_DECREF(lists);
    return messages;
}

static PyObject *senders(AssemblerObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"now_ns", NULL};
    long long now_ns = self->assembler.now_ns;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|L:senders", names, &now_ns)) return NULL;
    Report report;
    if (!assembler_report(&self->assembler, now_ns, &report)) return PyErr_NoMemory();
    PyObject *list = report_list(&report, false);
    report_clear(&report);
    return list;
}

static PyObject *ignore(AssemblerObject *self, PyObject *channel) {
    Py_ssize_t size;
    const char *name = PyUnicode_AsUTF8AndSize(channel, &size);
    if (!name) return NULL;
    channels_ignore(&self->assembler.channels, name, (size_t)size);
    Py_RETURN_NONE;
}

static PyObject *listen_to_all(AssemblerObject *self, PyObject *unused) {
    (void)unused;
    channels_listen(&self->assembler.channels);
    Py_RETURN_NONE;
}

static PyObject *rejected(AssemblerObject *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLongLong(self->assembler.rejected);
}

static PyObject *waiting_bytes(AssemblerObject *self, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(self->assembler.queue.bytes);
}

static PyObject *half_received_bytes(AssemblerObject *self, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(self->assembler.half_bytes);
}

static PyMethodDef methods[] = {
    {"feed", (PyCFunction)feed, METH_VARARGS,
     "feed(packet: bytes, address: str, port: int, arrival_ns: int)\n--\n\n"
     "Take in one packet that a sender sent."},
    {"take", (PyCFunction)(void (*)(void))take, METH_VARARGS | METH_KEYWORDS,
     "take(max_messages, max_bytes)\n--\n\n"
     "The complete messages, as a list of (arrival_ns, channel, data)."},
    {"senders", (PyCFunction)(void (*)(void))senders, METH_VARARGS | METH_KEYWORDS,
     "senders(now_ns)\n--\n\n"
     "Who was heard, as a list of (address, received, lost, {channel: lost})."},
    {"ignore", (PyCFunction)ignore, METH_O,
     "ignore(channel: str)\n--\n\nDrop the messages of a channel that was heard, uncounted as lost."},
    {"listen", (PyCFunction)listen_to_all, METH_NOARGS,
     "listen()\n--\n\nIgnore nothing any more, and take every channel for new."},
    {0},
};

static PyGetSetDef properties[] = {
    {"rejected", (getter)rejected, NULL, "Packets that no LCM sends.", NULL},
    {"waiting_bytes", (getter)waiting_bytes, NULL, "Memory of the messages to be taken.", NULL},
    {"half_received_bytes", (getter)half_received_bytes, NULL,
     "Memory of the messages of which fragments are missing.", NULL},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Assembler(max_bytes)\n--\n\nTurns LCM's packets into messages."},
    {Py_tp_new, new},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {0},
};

PyType_Spec assembler_spec = {
    .name = "dimos_record.bus._lcm_native.Assembler",
    .basicsize = sizeof(AssemblerObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

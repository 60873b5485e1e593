/* dimos_record.bus._lcm_native: LCM's wire protocol without the interpreter on the hot path. */
#include "python.h"

#include <pthread.h>

static int add_type(PyObject *module, const char *name, PyType_Spec *spec) {
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int failed = type ? PyModule_AddObjectRef(module, name, type) : -1;
    Py_XDECREF(type);
    return failed;
}

unsigned process_generation;

static void count_fork(void) {
    process_generation++;
}

static int exec(PyObject *module) {
    static bool is_watched;
    if (!is_watched && pthread_atfork(NULL, NULL, count_fork) != 0) {
        PyErr_NoMemory();
        return -1;
    }
    is_watched = true;
    if (add_type(module, "Assembler", &assembler_spec) < 0 ||
        add_type(module, "Clock", &clock_spec) < 0 ||
        add_type(module, "Receiver", &receiver_spec) < 0 ||
        add_type(module, "Publisher", &publisher_spec) < 0)
        return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, exec}, {0}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "dimos_record.bus._lcm_native",
    .m_doc = "LCM's wire protocol, compiled.",
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__lcm_native(void) {
    return PyModuleDef_Init(&definition);
}

// An attribute that is one thing on a class and another on its instances: Matrix4.translation((1, 2, 3)) builds a
// matrix, matrix.translation reads its fourth column.
#pragma once

#include <Python.h>

namespace dual_attribute {

/// Gives `cls` the attribute `name`. `on_instance` is any descriptor: a property, or a method taking self. Takes over
/// neither reference. Returns 0, or -1 with a Python error set.
int define(PyObject* cls, const char* name, PyObject* on_class, PyObject* on_instance);

}  // namespace dual_attribute

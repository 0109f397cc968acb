// An attribute that is one thing on a class and another on its instances: Matrix4.translation((1, 2, 3)) builds a
// matrix, matrix.translation reads its fourth column.
#pragma once

#include <pybind11/pybind11.h>

namespace dual_attribute {

/// Gives `cls` the attribute `name`. `on_instance` is any descriptor: a property, or a method taking self.
void define(pybind11::handle cls, const char* name, pybind11::object on_class, pybind11::object on_instance);

}  // namespace dual_attribute

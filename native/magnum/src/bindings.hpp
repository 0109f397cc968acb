// What module.cpp puts together, one function a subject.
#pragma once

#include <pybind11/pybind11.h>

namespace bindings {

void angles(pybind11::module_& m);
void vectors(pybind11::module_& m);
void colors(pybind11::module_& m);
void matrices(pybind11::module_& m);
void quaternions(pybind11::module_& m);
void ranges(pybind11::module_& m);
void math_functions(pybind11::module_& math);
void images(pybind11::module_& m);
void scenegraph(pybind11::module_& scenegraph);

}  // namespace bindings

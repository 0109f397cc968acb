#include "bindings.hpp"
#include "layout.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_magnum, m) {
    // Classes and submodules take their full names from this: magnum.Vector3, magnum.scenegraph.
    m.attr("__name__") = "magnum";
    m.doc() = "Maths, image views and scene graph nodes for habitat_sim";
    py::module_ math = m.def_submodule("math", "Constants and free functions");
    py::module_ scenegraph =
        m.def_submodule("scenegraph", "Nodes of the simulator's scene graph and what is attached to them");
    // Each registers the types that the signatures of the later ones name.
    bindings::angles(m);
    bindings::vectors(m);
    bindings::colors(m);
    bindings::matrices(m);
    bindings::quaternions(m);
    bindings::ranges(m);
    bindings::math_functions(math);
    bindings::images(m);
    bindings::scenegraph(scenegraph);
    m.def("_layout_json", layout_json, "What this module takes the simulator's classes to look like; for its tests");
}

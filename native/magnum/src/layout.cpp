// The layouts and virtual table slots this module was compiled with, under the names the simulator's debug information
// has for them, so that a test can compare the two.
#include <cstring>

#include "bindings.hpp"
#include "image.hpp"
#include "scenegraph.hpp"

// The classes have virtual functions, for which offsetof is only conditionally supported; g++ supports it.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace py = pybind11;

namespace {

using namespace Magnum;
using namespace Magnum::SceneGraph;
typedef BasicTranslationRotationScalingTransformation3D<float> Transformation;
typedef ImageView<2, char> View;

/// By the Itanium ABI a pointer to a virtual member function is one more than the function's offset in the table.
template <class F> std::size_t slot(F function) {
    std::size_t words[2];
    static_assert(sizeof(F) == sizeof words);
    std::memcpy(words, &function, sizeof words);
    return (words[0] - 1) / sizeof(void*);
}

py::dict entry(std::size_t size, py::dict members) {
    py::dict out;
    out["size"] = size;
    out["members"] = members;
    return out;
}

py::dict layouts() {
    using py::operator""_a;
    py::dict out;
    out["AbstractObject"] = entry(sizeof(AbstractObject3D), py::dict("_first"_a = offsetof(AbstractObject3D, first_feature), "_last"_a = offsetof(AbstractObject3D, last_feature)));
    out["Transformation"] = entry(sizeof(Transformation), py::dict("_translation"_a = offsetof(Transformation, translation), "_rotation"_a = offsetof(Transformation, rotation), "_scaling"_a = offsetof(Transformation, scaling)));
    out["Object"] = entry(sizeof(Object3D), py::dict(
        "Transformation"_a = offsetof(Object3D, translation) - offsetof(Transformation, translation),
        "_list"_a = offsetof(Object3D, parent), "_previous"_a = offsetof(Object3D, previous_sibling), "_next"_a = offsetof(Object3D, next_sibling),
        "_first"_a = offsetof(Object3D, first_child), "_last"_a = offsetof(Object3D, last_child), "counter"_a = offsetof(Object3D, counter), "flags"_a = offsetof(Object3D, flags)));
    out["AbstractFeature"] = entry(sizeof(AbstractFeature3D), py::dict(
        "_list"_a = offsetof(AbstractFeature3D, object), "_previous"_a = offsetof(AbstractFeature3D, previous), "_next"_a = offsetof(AbstractFeature3D, next),
        "_cachedTransformations"_a = offsetof(AbstractFeature3D, cached_transformations)));
    out["Camera"] = entry(sizeof(Camera3D), py::dict(
        "_rawProjectionMatrix"_a = offsetof(Camera3D, raw_projection_matrix), "_aspectRatioPolicy"_a = offsetof(Camera3D, aspect_ratio_policy),
        "_projectionMatrix"_a = offsetof(Camera3D, projection_matrix), "_cameraMatrix"_a = offsetof(Camera3D, camera_matrix), "_viewport"_a = offsetof(Camera3D, viewport)));
    out["PixelStorage"] = entry(sizeof(PixelStorage), py::dict(
        "_rowLength"_a = offsetof(PixelStorage, row_length), "_imageHeight"_a = offsetof(PixelStorage, image_height), "_skip"_a = offsetof(PixelStorage, skip), "_alignment"_a = offsetof(PixelStorage, alignment)));
    out["ImageView"] = entry(sizeof(View), py::dict(
        "_storage"_a = offsetof(View, storage), "_format"_a = offsetof(View, format), "_formatExtra"_a = offsetof(View, format_extra),
        "_pixelSize"_a = offsetof(View, pixel_size), "_size"_a = offsetof(View, size), "_data"_a = offsetof(View, data)));
    return out;
}

py::dict slots() {
    typedef AbstractObject3D O;
    typedef Transformation T;
    typedef AbstractFeature3D F;
    using py::operator""_a;
    return py::dict(
        "AbstractObject"_a = py::dict(
            "doParent"_a = slot(static_cast<O* (O::*)()>(&O::doParent)), "doTransformationMatrix"_a = slot(&O::doTransformationMatrix),
            "doAbsoluteTransformationMatrix"_a = slot(&O::doAbsoluteTransformationMatrix), "doIsDirty"_a = slot(&O::doIsDirty),
            "doSetDirty"_a = slot(&O::doSetDirty), "doSetClean"_a = slot(&O::doSetClean)),
        "Transformation"_a = py::dict(
            "doResetTransformation"_a = slot(&T::doResetTransformation), "doTranslate"_a = slot(&T::doTranslate), "doTranslateLocal"_a = slot(&T::doTranslateLocal),
            "doRotate"_a = slot(&T::doRotate), "doRotateLocal"_a = slot(&T::doRotateLocal), "doRotateX"_a = slot(&T::doRotateX), "doRotateXLocal"_a = slot(&T::doRotateXLocal),
            "doRotateY"_a = slot(&T::doRotateY), "doRotateYLocal"_a = slot(&T::doRotateYLocal), "doRotateZ"_a = slot(&T::doRotateZ), "doRotateZLocal"_a = slot(&T::doRotateZLocal),
            "doScale"_a = slot(&T::doScale), "doScaleLocal"_a = slot(&T::doScaleLocal)),
        "AbstractFeature"_a = py::dict("doErase"_a = slot(&F::doErase), "markDirty"_a = slot(&F::markDirty), "cleanInverted"_a = slot(&F::cleanInverted)));
}

}  // namespace

void bindings::layout(py::module_& m) {
    m.def("_layouts", layouts);
    m.def("_virtual_table_slots", slots);
}

// No pybind11: this compiles in an instant.
#include "layout.hpp"

#include <cstring>
#include <utility>
#include <vector>

#include "image.hpp"
#include "scenegraph.hpp"

// The classes have virtual functions, for which offsetof is only conditionally supported; g++ supports it.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace {

using namespace Magnum;
using namespace Magnum::SceneGraph;
typedef BasicTranslationRotationScalingTransformation3D<float> Transformation;
typedef ImageView<2, char> View;

/// Numbers by the name that the simulator's debug information has for them.
typedef std::vector<std::pair<const char*, std::size_t>> Named;

struct Layout {
    const char* name;
    std::size_t size;  ///< bytes
    Named members;     ///< offsets in bytes
};

std::vector<Layout> layouts() {
    const Named no_members;
    return {
        {"AbstractObject",
         sizeof(AbstractObject3D),
         {{"_first", offsetof(AbstractObject3D, first_feature)}, {"_last", offsetof(AbstractObject3D, last_feature)}}},
        {"Transformation",
         sizeof(Transformation),
         {{"_translation", offsetof(Transformation, translation)},
          {"_rotation", offsetof(Transformation, rotation)},
          {"_scaling", offsetof(Transformation, scaling)}}},
        {"Object",
         sizeof(Object3D),
         {{"Transformation", offsetof(Object3D, translation) - offsetof(Transformation, translation)},
          {"_list", offsetof(Object3D, parent)},
          {"_previous", offsetof(Object3D, previous_sibling)},
          {"_next", offsetof(Object3D, next_sibling)},
          {"_first", offsetof(Object3D, first_child)},
          {"_last", offsetof(Object3D, last_child)},
          {"counter", offsetof(Object3D, counter)},
          {"flags", offsetof(Object3D, flags)}}},
        {"AbstractFeature",
         sizeof(AbstractFeature3D),
         {{"_list", offsetof(AbstractFeature3D, object)},
          {"_previous", offsetof(AbstractFeature3D, previous)},
          {"_next", offsetof(AbstractFeature3D, next)},
          {"_cachedTransformations", offsetof(AbstractFeature3D, cached_transformations)}}},
        {"Camera",
         sizeof(Camera3D),
         {{"_rawProjectionMatrix", offsetof(Camera3D, raw_projection_matrix)},
          {"_aspectRatioPolicy", offsetof(Camera3D, aspect_ratio_policy)},
          {"_projectionMatrix", offsetof(Camera3D, projection_matrix)},
          {"_cameraMatrix", offsetof(Camera3D, camera_matrix)},
          {"_viewport", offsetof(Camera3D, viewport)}}},
        {"PixelStorage",
         sizeof(PixelStorage),
         {{"_rowLength", offsetof(PixelStorage, row_length)},
          {"_imageHeight", offsetof(PixelStorage, image_height)},
          {"_skip", offsetof(PixelStorage, skip)},
          {"_alignment", offsetof(PixelStorage, alignment)}}},
        {"ImageView",
         sizeof(View),
         {{"_storage", offsetof(View, storage)},
          {"_format", offsetof(View, format)},
          {"_formatExtra", offsetof(View, format_extra)},
          {"_pixelSize", offsetof(View, pixel_size)},
          {"_size", offsetof(View, size)},
          {"_data", offsetof(View, data)}}},
        {"Vector2<float>", sizeof(Math::Vector2<float>), no_members},
        {"Vector3<float>", sizeof(Math::Vector3<float>), no_members},
        {"Vector4<float>", sizeof(Math::Vector4<float>), no_members},
        {"Vector2<int>", sizeof(Math::Vector2<Int>), no_members},
        {"Vector3<unsigned char>", sizeof(Math::Vector3<UnsignedByte>), no_members},
        {"Color3<float>", sizeof(Math::Color3<float>), no_members},
        {"Color4<float>", sizeof(Math::Color4<float>), no_members},
        {"Quaternion<float>", sizeof(Math::Quaternion<float>), no_members},
        {"Matrix3<float>", sizeof(Math::Matrix3<float>), no_members},
        {"Matrix4<float>", sizeof(Math::Matrix4<float>), no_members},
        {"Matrix4<double>", sizeof(Math::Matrix4<double>), no_members},
        {"Range3D<float>", sizeof(Math::Range3D<float>), no_members},
        {"Rad<float>", sizeof(Math::Rad<float>), no_members},
        {"Rad<double>", sizeof(Math::Rad<double>), no_members},
        {"Deg<double>", sizeof(Math::Deg<double>), no_members},
    };
}

/// By the Itanium ABI a pointer to a virtual member function is one more than the function's offset in the table.
template <class F> std::size_t slot(F function) {
    std::size_t words[2];
    static_assert(sizeof(F) == sizeof words);
    std::memcpy(words, &function, sizeof words);
    return (words[0] - 1) / sizeof(void*);
}

Named object_slots() {
    typedef AbstractObject3D O;
    return {{"doScene()", slot(static_cast<O* (O::*)()>(&O::doScene))},
            {"doScene()", slot(static_cast<const O* (O::*)() const>(&O::doScene))},
            {"doParent()", slot(static_cast<O* (O::*)()>(&O::doParent))},
            {"doParent()", slot(static_cast<const O* (O::*)() const>(&O::doParent))},
            {"doTransformationMatrix()", slot(&O::doTransformationMatrix)},
            {"doAbsoluteTransformationMatrix()", slot(&O::doAbsoluteTransformationMatrix)},
            {"doIsDirty()", slot(&O::doIsDirty)},
            {"doSetDirty()", slot(&O::doSetDirty)},
            {"doSetClean()", slot(&O::doSetClean)}};
}

Named transformation_slots() {
    typedef Transformation T;
    return {{"doResetTransformation()", slot(&T::doResetTransformation)},
            {"doTranslate(Vector3)", slot(&T::doTranslate)},
            {"doTranslateLocal(Vector3)", slot(&T::doTranslateLocal)},
            {"doRotate(Quaternion)", slot(&T::doRotate)},
            {"doRotateLocal(Quaternion)", slot(&T::doRotateLocal)},
            {"doRotate(Rad, Vector3)", slot(&T::doRotateAbout)},
            {"doRotateLocal(Rad, Vector3)", slot(&T::doRotateLocalAbout)},
            {"doRotateX(Rad)", slot(&T::doRotateX)},
            {"doRotateXLocal(Rad)", slot(&T::doRotateXLocal)},
            {"doRotateY(Rad)", slot(&T::doRotateY)},
            {"doRotateYLocal(Rad)", slot(&T::doRotateYLocal)},
            {"doRotateZ(Rad)", slot(&T::doRotateZ)},
            {"doRotateZLocal(Rad)", slot(&T::doRotateZLocal)},
            {"doScale(Vector3)", slot(&T::doScale)},
            {"doScaleLocal(Vector3)", slot(&T::doScaleLocal)}};
}

Named feature_slots() {
    typedef AbstractFeature3D F;
    return {{"doErase()", slot(&F::doErase)},
            {"markDirty()", slot(&F::markDirty)},
            {"clean(Matrix4)", slot(&F::clean)},
            {"cleanInverted(Matrix4)", slot(&F::cleanInverted)}};
}

std::string members_json(const Named& members) {
    std::string out;
    for (const auto& [name, offset] : members)
        out += (out.empty() ? "" : ", ") + ('"' + std::string(name) + "\": ") + std::to_string(offset);
    return '{' + out + '}';
}

/// Pairs, since a const function and its twin have one name.
std::string slots_json(const Named& slots) {
    std::string out;
    for (const auto& [name, index] : slots)
        out += (out.empty() ? "" : ", ") + ("[\"" + std::string(name) + "\", ") + std::to_string(index) + ']';
    return '[' + out + ']';
}

}  // namespace

std::string layout_json() {
    std::string out;
    for (const Layout& layout : layouts())
        out += (out.empty() ? "" : ", ") + ('"' + std::string(layout.name) + "\": {\"size\": ") +
               std::to_string(layout.size) + ", \"members\": " + members_json(layout.members) + '}';
    return "{\"layouts\": {" + out + "}, \"slots\": {\"AbstractObject\": " + slots_json(object_slots()) +
           ", \"Transformation\": " + slots_json(transformation_slots()) +
           ", \"AbstractFeature\": " + slots_json(feature_slots()) + "}}";
}

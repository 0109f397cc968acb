// The layouts and virtual table slots this module was compiled with.
#pragma once

#include <string>

/// As JSON, in the form of tests/wheel_layout.json, which says the same of the simulator.
std::string layout_json();

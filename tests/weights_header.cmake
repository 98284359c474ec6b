# Weights as a C++ header: one program writes it, a second is compiled with it and compares.
set(generated ${CMAKE_CURRENT_BINARY_DIR}/weights_header)
file(MAKE_DIRECTORY ${generated})
add_executable(write_weights_header weights_header/write.cpp)
target_link_libraries(write_weights_header PRIVATE tessera_program)
add_custom_command(OUTPUT ${generated}/net_weights.hpp
  COMMAND write_weights_header ${generated}/net_weights.hpp
  DEPENDS write_weights_header VERBATIM)
add_executable(read_weights_header weights_header/read.cpp ${generated}/net_weights.hpp)
target_link_libraries(read_weights_header PRIVATE tessera_program)
target_include_directories(read_weights_header PRIVATE ${generated})
add_test(NAME weights_header COMMAND read_weights_header)
set_tests_properties(weights_header PROPERTIES LABELS quick)

# What test programs and the benchmark of the catalogue share, compiled once.
if(TARGET tessera_catalogue)
  return()
endif()
set(tests ${PROJECT_SOURCE_DIR}/tests)

# All kernels at once take a minute or two to compile for each backend, so programs that run graphs
# on the reference alone do not wait for the others.
add_library(tessera_test_reference STATIC EXCLUDE_FROM_ALL ${tests}/support/kernels/reference.cpp)
add_library(tessera_test_backends STATIC EXCLUDE_FROM_ALL
  ${tests}/support/backends.cpp ${tests}/support/kernels/host.cpp
  ${tests}/support/kernels/accelerator.cpp)
target_link_libraries(tessera_test_backends PUBLIC tessera_test_reference)

# The table of operations. It only makes graphs: nobody waits for it at run time.
file(GLOB catalogue_sources CONFIGURE_DEPENDS ${tests}/catalogue/rows.cpp
  ${tests}/catalogue/rows/*.cpp ${tests}/catalogue/goldens/*.cpp)
list(REMOVE_ITEM catalogue_sources ${tests}/catalogue/goldens/cases.cpp)
add_library(tessera_catalogue STATIC EXCLUDE_FROM_ALL ${catalogue_sources})
target_compile_options(tessera_catalogue PRIVATE -O0)
target_link_libraries(tessera_catalogue PUBLIC tessera_test_backends)

foreach(library tessera_test_reference tessera_test_backends tessera_catalogue)
  target_link_libraries(${library} PRIVATE tessera_program)
  target_include_directories(${library} PUBLIC ${tests})
  target_compile_definitions(${library} PRIVATE
    _GLIBCXX_ASSERTIONS TESSERA_TEST_DATA="${tests}/data")
endforeach()

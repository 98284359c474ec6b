# The reference pages: `cmake --build <tree> --target docs` writes docs/index.html into the tree.
# A warning of Doxygen's is an error, so that no comment names what is not there.
find_package(Doxygen 1.9 QUIET)
if(NOT DOXYGEN_FOUND)
  message(STATUS "tessera: Doxygen was not found (Debian: apt-get install doxygen); "
    "there is no target docs")
  return()
endif()

set(DOXYGEN_PROJECT_BRIEF "A network is a type. Its memory is a constant.")
set(DOXYGEN_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/docs)
set(DOXYGEN_HTML_OUTPUT .)
set(DOXYGEN_USE_MDFILE_AS_MAINPAGE ${PROJECT_SOURCE_DIR}/README.md)
set(DOXYGEN_STRIP_FROM_PATH ${PROJECT_SOURCE_DIR}/include)
set(DOXYGEN_STRIP_FROM_INC_PATH ${PROJECT_SOURCE_DIR}/include)
set(DOXYGEN_EXTRACT_ALL YES)              # a name that says it all needs no comment
set(DOXYGEN_EXCLUDE_SYMBOLS "tessera::detail" "*::detail" "tessera::*::detail")
set(DOXYGEN_MARKDOWN_SUPPORT YES)
set(DOXYGEN_PREDEFINED "__cpp_static_assert=0")
set(DOXYGEN_QUIET YES)
set(DOXYGEN_WARN_AS_ERROR FAIL_ON_WARNINGS)
doxygen_add_docs(docs include/tessera README.md examples/README.md benchmarks/README.md
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
  COMMENT "Writing the reference pages")

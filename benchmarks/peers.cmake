# The peers that benchmarks compare with, each where it is found: tessera_peer_X for every X in
# TESSERA_PEERS, which is empty where X is not installed, and else has its headers, its library and
# the macro TESSERA_WITH_X. A benchmark builds without its peers, too, and says that they are
# missing. (Eigen is not among them: the library itself needs it.)
#
#   X          found as              Debian
#   TORCH      package Torch         libtorch-dev (and libopenblas0-pthread, the BLAS it is fast with)
#   ONEDNN     headers and library   libdnnl-dev
#   OPENBLAS   headers and library   libopenblas-dev
#   DLIB       package dlib          libdlib-dev
set(TESSERA_PEERS TORCH ONEDNN OPENBLAS DLIB CACHE STRING
  "Peers that benchmarks compare with where they are installed")

# A peer that is one library and the folder of one header.
macro(tessera_find_peer peer header library)
  find_path(TESSERA_${peer}_HEADERS ${header})
  find_library(TESSERA_${peer}_LIBRARY ${library})
  mark_as_advanced(TESSERA_${peer}_HEADERS TESSERA_${peer}_LIBRARY)
  if(TESSERA_${peer}_HEADERS AND TESSERA_${peer}_LIBRARY)
    set(libraries ${TESSERA_${peer}_LIBRARY})
    set(headers ${TESSERA_${peer}_HEADERS})
  endif()
endmacro()

set(found_peers)
foreach(peer IN LISTS TESSERA_PEERS)
  set(libraries)
  set(headers)
  if(peer STREQUAL "TORCH")
    find_package(Torch QUIET)
    if(Torch_FOUND)
      set(libraries ${TORCH_LIBRARIES})
      set(headers ${TORCH_INCLUDE_DIRS})
    endif()
  elseif(peer STREQUAL "ONEDNN")
    tessera_find_peer(${peer} oneapi/dnnl/dnnl.hpp dnnl)
  elseif(peer STREQUAL "OPENBLAS")
    tessera_find_peer(${peer} cblas-openblas.h openblas)
  elseif(peer STREQUAL "DLIB")
    find_package(dlib QUIET)
    if(TARGET dlib::dlib)
      set(libraries dlib::dlib)
    endif()
  else()
    message(FATAL_ERROR "tessera: TESSERA_PEERS: expected TORCH, ONEDNN, OPENBLAS or DLIB, "
      "got ${peer}")
  endif()
  add_library(tessera_peer_${peer} INTERFACE)
  if(libraries)
    target_link_libraries(tessera_peer_${peer} INTERFACE ${libraries})
    target_include_directories(tessera_peer_${peer} SYSTEM INTERFACE ${headers})
    target_compile_definitions(tessera_peer_${peer} INTERFACE TESSERA_WITH_${peer})
    list(APPEND found_peers ${peer})
  endif()
endforeach()
message(STATUS "tessera: peers of the benchmarks: ${found_peers}")

# Gives `target` the peers that its sources mention.
function(tessera_link_peers target)
  foreach(source IN LISTS ARGN)
    foreach(peer IN LISTS TESSERA_PEERS)
      file(STRINGS ${source} mentions REGEX "TESSERA_WITH_${peer}" LIMIT_COUNT 1)
      if(mentions)
        target_link_libraries(${target} PRIVATE tessera_peer_${peer})
      endif()
    endforeach()
  endforeach()
endfunction()

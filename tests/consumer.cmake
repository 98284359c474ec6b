# The project in tests/consumer, a user's: configured, built and run in three ways.
#
#   consumer.find_package      against an install of this build, by find_package(tessera)
#   consumer.add_subdirectory  with this source tree as a subfolder
#   consumer.pkg_config        against the install, by pkg-config and one compiler call
set(prefix ${CMAKE_CURRENT_BINARY_DIR}/installed)
set(consumer ${CMAKE_CURRENT_SOURCE_DIR}/consumer)

# Where this build was told to look for packages, the consumer looks too.
list(JOIN CMAKE_PREFIX_PATH ":" paths)
set(tessera_search "CMAKE_PREFIX_PATH=path_list_prepend:${paths}")

function(tessera_consumer way)
  add_test(NAME consumer.${way} COMMAND ${CMAKE_CTEST_COMMAND}
    --build-and-test ${consumer} ${CMAKE_CURRENT_BINARY_DIR}/consumer.${way}
    --build-generator ${CMAKE_GENERATOR} --build-project consumer
    --build-options -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER} -DCMAKE_BUILD_TYPE=Debug ${ARGN}
    --test-command consumer)
  set_tests_properties(consumer.${way} PROPERTIES LABELS "quick;consumer" TIMEOUT 600
    ENVIRONMENT_MODIFICATION "${tessera_search}")
endfunction()

tessera_consumer(add_subdirectory -DTESSERA_SOURCE=${PROJECT_SOURCE_DIR})

if(TESSERA_INSTALL)
  add_test(NAME consumer.install COMMAND ${CMAKE_COMMAND} -DCMAKE_INSTALL_PREFIX=${prefix}
    -P ${PROJECT_BINARY_DIR}/cmake_install.cmake)
  set_tests_properties(consumer.install PROPERTIES
    LABELS "quick;consumer" FIXTURES_SETUP tessera_installed)

  tessera_consumer(find_package -Dtessera_ROOT=${prefix} -DTESSERA_SOURCE=)
  set_tests_properties(consumer.find_package PROPERTIES FIXTURES_REQUIRED tessera_installed)

  find_program(TESSERA_PKG_CONFIG pkg-config)
  if(TESSERA_PKG_CONFIG)
    add_test(NAME consumer.pkg_config COMMAND sh -c
      "\"$0\" main.cpp $(\"$1\" --cflags --libs tessera) -o \"$2\" && \"$2\""
      ${CMAKE_CXX_COMPILER} ${TESSERA_PKG_CONFIG} ${CMAKE_CURRENT_BINARY_DIR}/consumer_pkg_config
      WORKING_DIRECTORY ${consumer})
    set_tests_properties(consumer.pkg_config PROPERTIES
      LABELS "quick;consumer" FIXTURES_REQUIRED tessera_installed TIMEOUT 600
      ENVIRONMENT_MODIFICATION
        "PKG_CONFIG_PATH=path_list_prepend:${prefix}/${CMAKE_INSTALL_DATADIR}/pkgconfig")
  endif()
endif()

# Install: headers, the CMake package (find_package(tessera)) and tessera.pc.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(tessera_package_folder ${CMAKE_INSTALL_DATADIR}/cmake/tessera)  # no architecture in it
configure_package_config_file(cmake/tesseraConfig.cmake.in tesseraConfig.cmake
  INSTALL_DESTINATION ${tessera_package_folder}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR
  NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(tesseraConfigVersion.cmake
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
configure_file(cmake/tessera.pc.in tessera.pc @ONLY)

install(DIRECTORY include/tessera DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tesseraConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/tesseraConfigVersion.cmake DESTINATION ${tessera_package_folder})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tessera.pc
  DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)

# A thousand rows of a table of SCALE-Sim's figures as static_asserts.
#
#   cmake -DTABLE=scalesim.csv -DROWS=1000 -DOUT=scalesim_rows.inc -P cmake/scalesim_rows.cmake
#
# Rows are taken evenly over the table, columns by name. Each becomes
#   static_assert(equals({M, N, K}, rows, cols, flow, cycles, reads of A, of B, writes, shares));
# with the shares of mapping and of all cycles in millionths of a percent, as the table has them.
cmake_minimum_required(VERSION 3.25)
file(STRINGS ${TABLE} lines)
list(POP_FRONT lines head)
string(REPLACE "," ";" names "${head}")
set(place 0)
foreach(name IN LISTS names)
  set(place_of_${name} ${place})
  math(EXPR place "${place} + 1")
endforeach()

# 99.769129 -> 99769129, 100.0 -> 100000000, 2.7e-05 -> 27 (Python writes what is small so)
function(millionths text result)
  if(text MATCHES "^([0-9])\\.?([0-9]*)e-0([56])$")
    string(SUBSTRING "${CMAKE_MATCH_1}${CMAKE_MATCH_2}0" 0 2 digits)
    if(CMAKE_MATCH_3 EQUAL 6)
      set(digits ${CMAKE_MATCH_1})
    endif()
    math(EXPR number "${digits}")
  elseif(text MATCHES "^([0-9]+)\\.?([0-9]*)$")
    set(whole ${CMAKE_MATCH_1})
    string(SUBSTRING "${CMAKE_MATCH_2}000000" 0 6 digits)
    math(EXPR number "${whole} * 1000000 + 1${digits} - 1000000")
  else()
    message(FATAL_ERROR "scalesim_rows: ${TABLE}: expected a share, got \"${text}\"")
  endif()
  set(${result} ${number} PARENT_SCOPE)
endfunction()

list(LENGTH lines count)
set(out "// Made by cmake/scalesim_rows.cmake from ${TABLE}.\n")
set(at 0)
set(taken 0)
foreach(line IN LISTS lines)
  math(EXPR due "${taken} * ${count} / ${ROWS}")
  if(at EQUAL due AND taken LESS ROWS)
    string(REPLACE "," ";" cells "${line}")
    foreach(name M N K array_rows array_cols dataflow compute_cycles ifmap_sram_reads
            filter_sram_reads ofmap_sram_writes_true mapping_eff_pct overall_util_pct)
      list(GET cells ${place_of_${name}} ${name})
    endforeach()
    millionths(${mapping_eff_pct} mapping)
    millionths(${overall_util_pct} utilization)
    string(APPEND out "static_assert(equals({${M}, ${N}, ${K}}, ${array_rows}, ${array_cols}, "
      "${dataflow}, ${compute_cycles}, ${ifmap_sram_reads}, ${filter_sram_reads}, "
      "${ofmap_sram_writes_true}, ${mapping}, ${utilization}));\n")
    math(EXPR taken "${taken} + 1")
  endif()
  math(EXPR at "${at} + 1")
endforeach()
if(taken LESS ROWS)
  message(FATAL_ERROR "scalesim_rows: ${TABLE} has ${count} rows, expected at least ${ROWS}")
endif()
file(WRITE ${OUT} "${out}")

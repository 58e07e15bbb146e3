# Chooses a slot and starts it (U-Boot). The state lies twice in the partition "state", 4096 bytes each, with U-Boot's own CRC;
# the second copy at block 8. It is written only while an update is on trial.
#   slot    a or b, the confirmed one       try     a or b, the one on trial        tries   starts that it has left
#   bad_a, bad_b   why a slot is not to be started (loader, root, gateway, tries, writing)
# A slot is one FIT file whose parts carry SHA-256; the kernel's words are a part of it.

setenv slot; setenv try; setenv tries; setenv bad_a; setenv bad_b; setenv from
setenv dev ${devtype} ${devnum}
part start ${dev} state first
setexpr second ${first} + 8
if ${devtype} read ${scriptaddr} ${first} 8; then
  if env import -c ${scriptaddr} 0x1000 slot try tries bad_a bad_b; then setenv from 1; fi
fi
if test "${slot}" != a && test "${slot}" != b; then setenv from; fi
if test -z "${from}"; then
  setenv slot; setenv try; setenv tries; setenv bad_a; setenv bad_b
  if ${devtype} read ${scriptaddr} ${second} 8; then
    if env import -c ${scriptaddr} 0x1000 slot try tries bad_a bad_b; then setenv from 2; echo "Postern: boot state from its second copy"; fi
  fi
  if test "${slot}" != a && test "${slot}" != b; then setenv from; fi
fi
if test -z "${from}"; then
  echo "Postern: the boot state is lost; starting with slot a"
  setenv slot a; setenv try; setenv tries; setenv bad_a; setenv bad_b
fi

setenv use ${slot}
if test "${try}" = a || test "${try}" = b; then
  if test "${tries}" = 3; then setenv tries 2; setenv use ${try};
  elif test "${tries}" = 2; then setenv tries 1; setenv use ${try};
  elif test "${tries}" = 1; then setenv tries 0; setenv use ${try};
  else setenv bad_${try} tries; setenv try; setenv tries; fi
  setenv kept
  env export -c -s 0x1000 ${scriptaddr} slot try tries bad_a bad_b
  if ${devtype} write ${scriptaddr} ${first} 8; then setenv kept yes; fi
  if ${devtype} write ${scriptaddr} ${second} 8; then setenv kept yes; fi
  # What cannot be counted is not tried: it would be tried for ever.
  if test -z "${kept}"; then setenv use ${slot}; fi
fi

if test "${use}" = a; then setenv other b; setenv bad ${bad_a}; setenv other_bad ${bad_b};
else setenv other a; setenv bad ${bad_b}; setenv other_bad ${bad_a}; fi
if test -n "${bad}" && test -z "${other_bad}"; then
  echo "Postern: slot ${use} is marked bad (${bad})"
  setenv swap ${use}; setenv use ${other}; setenv other ${swap}
fi

setenv refused
for one in ${use} ${other}; do
  part number ${dev} boot-${one} boot
  setenv words
  if load ${devtype} ${devnum}:${boot} @FIT@ slot.fit; then
    if source @FIT@:words; then
      echo "Postern: starting slot ${one}"
      setenv bootargs ${words} slot=${one} ${refused}
      bootm @FIT@:kernel @FIT@:initramfs ${fdt_addr}
    fi
  fi
  echo "Postern: kernel or initramfs of slot ${one} is damaged or missing"
  setenv refused refused=${one}
done

echo "Postern: NEITHER SLOT CAN BE STARTED. The kernel or initramfs of both is damaged."
echo "The mail that was accepted is on the partition 'spool' and is not touched."
echo "Write the image to this medium's boot and rootfs partitions again (README, 'When neither slot starts'),"
echo "or put the medium into another machine first to save the spool."
echo "Ctrl-C: U-Boot's command line. Otherwise the machine starts again in 60 seconds."
if sleep 60; then reset; fi

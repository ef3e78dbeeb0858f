//! The headers of an ELF file: its processor, and the program that loads it.

use crate::Error;

/// The properties of a Linux program that a container image needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// The architecture, as the image specification names it.
    pub architecture: &'static str,
    /// The path of the dynamic loader. A static program has none.
    pub loader: Option<String>,
}

/// The kind of a program header that names the dynamic loader.
const LOADER: u64 = 3;

/// Reads the headers of a 64-bit little-endian ELF file.
///
/// # Errors
/// The file is no such file, is damaged, or is for another processor.
pub fn read(file: &[u8]) -> Result<Elf, Error> {
    let failed = |cause: &str| {
        Error::new("read the program", cause).hint("an image holds a Linux program for x86-64 or arm64")
    };
    if file.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(failed("it is no 64-bit ELF file"));
    }
    let cut = || failed("the file is cut");
    let architecture = match number(file, 18, 2).ok_or_else(cut)? {
        62 => "amd64",
        183 => "arm64",
        other => return Err(failed(&format!("its processor has the number {other}"))),
    };
    let table = number(file, 32, 8).ok_or_else(cut)?;
    let (size, count) = (number(file, 54, 2).ok_or_else(cut)?, number(file, 56, 2).ok_or_else(cut)?);
    for index in 0..count {
        let header =
            table.checked_add(index * size).and_then(|at| usize::try_from(at).ok()).ok_or_else(cut)?;
        if number(file, header, 4).ok_or_else(cut)? != LOADER {
            continue;
        }
        let start = header
            .checked_add(8)
            .and_then(|at| number(file, at, 8))
            .and_then(|start| usize::try_from(start).ok())
            .ok_or_else(cut)?;
        let path = file.get(start..).and_then(|rest| rest.split(|byte| *byte == 0).next()).ok_or_else(cut)?;
        let path = std::str::from_utf8(path).map_err(|_| failed("the path of its loader is not UTF-8"))?;
        return Ok(Elf { architecture, loader: Some(path.to_owned()) });
    }
    Ok(Elf { architecture, loader: None })
}

fn number(file: &[u8], at: usize, bytes: usize) -> Option<u64> {
    let field = file.get(at..at.checked_add(bytes)?)?;
    Some(field.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the headers of a program.
    fn program(machine: u8, loader: Option<&str>) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18] = machine;
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file[64] = if loader.is_some() { 3 } else { 1 };
        file[72] = 120;
        file.extend(loader.unwrap_or_default().as_bytes());
        file.push(0);
        file
    }

    #[test]
    fn the_processor_and_the_loader_are_read() {
        let elf = read(&program(62, None)).unwrap();
        assert_eq!(elf, Elf { architecture: "amd64", loader: None });
        let elf = read(&program(183, Some("/lib/ld-linux-aarch64.so.1"))).unwrap();
        assert_eq!(elf, Elf { architecture: "arm64", loader: Some("/lib/ld-linux-aarch64.so.1".to_owned()) });
    }

    #[test]
    fn other_files_are_refused() {
        for file in [b"#!/bin/sh".to_vec(), program(3, None), program(62, Some("/lib/ld.so"))[..70].to_vec()]
        {
            assert!(read(&file).is_err());
        }
    }
}

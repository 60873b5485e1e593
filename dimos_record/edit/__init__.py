"""Edits: what they do, and writing recordings as their edits leave them.

    save(reader, close_own, on_progress)                     -> SaveReport        edit.save
    save_as(reader, name, overwrite=, on_progress=)          -> SaveReport        edit.derive
    extract(reader, (a_ns, b_ns), name, streams=, ...)       -> SaveReport        edit.derive
    split(reader, [t_ns, ...], names, on_progress=)          -> list[SaveReport]  edit.derive
    merge(paths, target, align, overwrite=, on_progress=)    -> SaveReport        edit.merge

All take an `EditedReader` (`merge` takes paths), whose edits are obeyed, and times in nanoseconds.
`on_progress(bytes_done, bytes_in_all)` is called some ten times a second and more; an exception
that it raises cancels, leaves nothing behind and changes nothing.

How it works: `plan` looks up which runs of message numbers stay, `copying` copies them inside
SQLite from the old file into a `new_file`, `carried` takes along what is known of them, and
`replacing` puts the new file where the old one is, at one stroke.
"""

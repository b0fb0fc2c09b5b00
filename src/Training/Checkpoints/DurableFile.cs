using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Gradus.Training.Checkpoints;

/// <summary>What a file was when it was written.</summary>
/// <param name="Sha256">Hexadecimal, lower case.</param>
public readonly record struct WrittenFile(string Name, long Bytes, string Sha256);

/// <summary>Files that are on the disk when the call returns, and the proof of what was written.</summary>
public static partial class DurableFile
{
    /// <summary>Writes a file, hashing on the way, and waits until the disk has it.</summary>
    public static WrittenFile Write(string path, Func<string, Stream> create, Action<Stream> write)
    {
        using var stream = create(path);
        using var hash = SHA256.Create();
        long length;
        using (var hashed = new CryptoStream(stream, hash, CryptoStreamMode.Write, leaveOpen: true))
        {
            write(hashed);
        }
        stream.Flush();
        length = stream.Length;
        if (stream is FileStream file) file.Flush(flushToDisk: true);
        return new WrittenFile(Path.GetFileName(path), length, Convert.ToHexStringLower(hash.Hash!));
    }

    /// <summary>The hash of a file as it is now, or null where it is gone.</summary>
    public static WrittenFile? Read(string path)
    {
        if (!File.Exists(path)) return null;
        using var stream = File.OpenRead(path);
        return new WrittenFile(Path.GetFileName(path), stream.Length, Convert.ToHexStringLower(SHA256.HashData(stream)));
    }

    /// <summary>Waits until the names in a folder are on the disk: a rename is not durable before that. Nothing to do where the system is not Unix.</summary>
    /// <exception cref="IOException">The folder cannot be opened or synchronised.</exception>
    public static void SyncFolder(string folder)
    {
        if (OperatingSystem.IsWindows()) return;
        var handle = Open(folder, 0, 0);
        if (handle < 0) throw new IOException($"The folder {folder} cannot be opened (errno {Marshal.GetLastPInvokeError()}).");
        try
        {
            if (Sync(handle) != 0) throw new IOException($"The folder {folder} cannot be synchronised (errno {Marshal.GetLastPInvokeError()}).");
        }
        finally
        {
            _ = Close(handle);
        }
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Sync(int handle);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int handle);
}

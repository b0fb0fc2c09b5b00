using System.Runtime.InteropServices;

namespace Gradus.Api.Operations;

/// <summary>
/// Which BLAS the system's libtorch was given by the dynamic linker. Debian chooses by alternatives: without libopenblas0-pthread it is
/// the reference implementation, some fifty times slower, and nothing else would say so.
/// </summary>
public static class LoadedBlas
{
    /// <summary>The library's file once libtorch is loaded; null where none is mapped apart (the official package holds its own).</summary>
    public static string? File() => OperatingSystem.IsLinux() ? Find(System.IO.File.ReadLines("/proc/self/maps")) : null;

    /// <summary>To be called in a child that trains, after its first tensor.</summary>
    /// <exception cref="InvalidOperationException">The reference BLAS is loaded.</exception>
    public static void RefuseReference() => RefuseReference(File());

    /// <summary>
    /// Gives OpenBLAS one thread. With products in bf16 it has few left to do, and its waiting thread would take a core from those that do the rest (docs/log.md: 447 to
    /// 520 tokens/s with two, 565 with one).
    /// </summary>
    /// <returns>False where another BLAS is loaded.</returns>
    public static bool UseOneThread()
    {
        if (File() is not { } file || !NativeLibrary.TryLoad(file, out var library) || !NativeLibrary.TryGetExport(library, "openblas_set_num_threads", out var set)) return false;
        unsafe
        {
            ((delegate* unmanaged<int, void>)set)(1);
        }
        return true;
    }

    internal static void RefuseReference(string? file)
    {
        if (file is not null && IsReference(file))
            throw new InvalidOperationException($"The slow reference BLAS is loaded ({file}), and training on it would take some fifty times as long. Install a fast one: apt-get install libopenblas0-pthread");
    }

    internal static string? Find(IEnumerable<string> maps)
    {
        string? found = null;
        foreach (string line in maps)
        {
            int path = line.IndexOf('/', StringComparison.Ordinal);
            if (path < 0) continue;
            string file = line[path..], name = Path.GetFileName(file);
            if (name.StartsWith("libopenblas", StringComparison.Ordinal) || name.StartsWith("libmkl_", StringComparison.Ordinal)) return file;
            if (name.StartsWith("libblas.so", StringComparison.Ordinal)) found = file;
        }
        return found;
    }

    /// <summary>Debian: /usr/lib/x86_64-linux-gnu/blas/libblas.so.3.11.0, against .../openblas-pthread/libblas.so.3.</summary>
    private static bool IsReference(string file) => Path.GetFileName(Path.GetDirectoryName(file)) == "blas";
}

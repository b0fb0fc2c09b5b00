using System.Runtime.InteropServices;
using System.Text;
using Gradus.Training;
using Microsoft.Win32.SafeHandles;

namespace Gradus.Api.Models;

/// <summary>
/// A file or folder of this machine, opened and then looked at: what it is and where it really lies are asked of the opened handle, so that nothing (a symlink
/// out, a pipe put in its place) can be exchanged between the look and the reading.
/// </summary>
internal sealed class RootedFile : IDisposable
{
    // The kernel's numbers on Linux: read only; do not wait for a pipe's writer; not for children.
    private const int Flags = 0 | 0x800 | 0x80000;
    private const int EmptyPath = 0x1000, BasicStats = 0x7ff, ModeAt = 28, TypeMask = 0xF000, Folder = 0x4000, Regular = 0x8000;

    private readonly SafeFileHandle handle;
    private readonly int type;

    private RootedFile(SafeFileHandle handle)
    {
        this.handle = handle;
        RealPath = File.ResolveLinkTarget($"/proc/self/fd/{handle.DangerousGetHandle()}", returnFinalTarget: false)?.FullName ?? "";
        var found = new byte[256];
        if (statx((int)handle.DangerousGetHandle(), "", EmptyPath, BasicStats, found) == 0) type = BitConverter.ToUInt16(found, ModeAt) & TypeMask;
    }

    /// <summary>Absolute, without symlinks.</summary>
    public string RealPath { get; }

    public bool IsFolder => type == Folder;

    public bool IsFile => type == Regular;

    /// <summary>Opens what lies at a path, if it really lies below one of the roots.</summary>
    /// <param name="path">Absolute, or relative to a root.</param>
    /// <exception cref="InvalidInputException">It does not, is not there, may not be read, or is neither a file nor a folder.</exception>
    public static RootedFile Open(string path, IReadOnlyList<string> roots)
    {
        var allowed = $"The setting Gradus:ModelRoots allows {string.Join(", ", roots)}";
        if (path.Length is 0 or > 4096 || path.Contains('\0', StringComparison.Ordinal)) throw new InvalidInputException($"'path' must be a path of 1 to 4,096 characters. {allowed}.", "path");
        if (!path.StartsWith('/')) path = roots.Select(root => Path.Combine(root, path)).FirstOrDefault(Path.Exists) ?? Path.Combine(roots[0], path);
        // Before anything is opened: what lies outside is not even said to exist.
        var lexical = Path.GetFullPath(path);
        if (!roots.Any(root => IsBelow(lexical, Path.GetFullPath(root)))) throw new InvalidInputException($"'{path}' lies outside of the folders that models may come from. {allowed}.", "path", "outside_roots");
        var opened = open(lexical, Flags, 0);
        if (opened < 0)
        {
            var refused = Marshal.GetLastPInvokeError() == 13;
            throw new InvalidInputException(refused ? $"'{path}' may not be read by the service." : $"There is no '{path}' on the server.", "path", refused ? "forbidden" : "missing");
        }
        var file = new RootedFile(new SafeFileHandle(opened, ownsHandle: true));
        try
        {
            if (!roots.Select(Real).Any(root => root is not null && IsBelow(file.RealPath, root))) throw new InvalidInputException($"'{path}' leads out of the folders that models may come from, by a symbolic link. {allowed}.", "path", "outside_roots");
            if (!file.IsFile && !file.IsFolder) throw new InvalidInputException($"'{path}' is neither a file nor a folder.", "path", "not_a_file");
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public FileStream Read() => new(handle, FileAccess.Read, bufferSize: 0);

    public void Dispose() => handle.Dispose();

    private static bool IsBelow(string path, string root) => path.StartsWith(Path.TrimEndingDirectorySeparator(root) + "/", StringComparison.Ordinal);

    private static string? Real(string root)
    {
        var found = new byte[4097];
        return realpath(root, found) == 0 ? null : Encoding.UTF8.GetString(found, 0, Array.IndexOf(found, (byte)0));
    }

    [DllImport("libc", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags, int mode);

    [DllImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern nint realpath([MarshalAs(UnmanagedType.LPUTF8Str)] string path, byte[] found);

    [DllImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int statx(int folder, [MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags, uint mask, byte[] found);
}

using System.Runtime.InteropServices;

namespace Gradus.Api.Jobs;

/// <summary>Signals, which .NET can receive but not send.</summary>
internal static partial class Posix
{
    public const int Terminate = 15;
    public const int Kill = 9;

    /// <summary>Sends a signal to a process; one that has ended already is no error. Id 0 is the caller's own group.</summary>
    public static void Send(int processId, int signal) => _ = kill(processId, signal);

    /// <summary>Makes the caller the head of a process group of its own: a terminal's Ctrl-C then reaches its worker alone, and it can end with all it started.</summary>
    public static void LeadGroup() => _ = setpgid(0, 0);

    [DllImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int kill(int process, int signal);

    [DllImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int setpgid(int process, int group);
}

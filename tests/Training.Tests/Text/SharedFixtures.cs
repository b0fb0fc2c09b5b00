using System.IO.Compression;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Xunit;

namespace Gradus.Training.Tests.Text;

/// <summary>
/// Fixtures that are too large for the repository: below each root of GRADUS_FIXTURES and in ../shared/fixtures beside the clone. A test that finds
/// none skips and says so.
/// </summary>
internal static class SharedFixtures
{
    /// <summary>All files of that relative path, over the roots; skips the test where there is none.</summary>
    public static IReadOnlyList<string> Files(string relative)
    {
        var found = Found(relative);
        Assert.SkipWhen(found.Count == 0, $"There is no {relative} below GRADUS_FIXTURES or ../shared/fixtures.");
        return found;
    }

    /// <summary>The same without skipping, for a test that has cases beside it.</summary>
    public static IReadOnlyList<string> Found(string relative) => [.. Roots().Select(root => Path.GetFullPath(Path.Combine(root, relative))).Where(File.Exists)];

    /// <summary>All files of a folder by a pattern, over the roots; skips the test where there is none.</summary>
    public static IReadOnlyList<string> All(string folder, string pattern)
    {
        var found = Roots().Select(root => Path.Combine(root, folder)).Where(Directory.Exists).SelectMany(path => Directory.GetFiles(path, pattern).Order(StringComparer.Ordinal)).ToList();
        Assert.SkipWhen(found.Count == 0, $"There is no {folder}/{pattern} below GRADUS_FIXTURES or ../shared/fixtures.");
        return found;
    }

    public static JsonElement Json(string path)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(path));
        return document.RootElement.Clone();
    }

    public static byte[] Unzip(string path)
    {
        using var zipped = new GZipStream(File.OpenRead(path), CompressionMode.Decompress);
        using var plain = new MemoryStream();
        zipped.CopyTo(plain);
        return plain.ToArray();
    }

    private static IEnumerable<string> Roots()
    {
        foreach (var root in (Environment.GetEnvironmentVariable("GRADUS_FIXTURES") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)) yield return root;
        yield return Path.Combine(Repository(), "..", "shared", "fixtures");
    }

    /// <summary>The folder with Service.sln, above this file.</summary>
    private static string Repository([CallerFilePath] string file = "")
    {
        var folder = Path.GetDirectoryName(file);
        while (folder is not null && !File.Exists(Path.Combine(folder, "Service.sln"))) folder = Path.GetDirectoryName(folder);
        return folder ?? throw new InvalidOperationException("No Service.sln above " + file);
    }
}

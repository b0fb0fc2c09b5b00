using System.Collections.Concurrent;
using System.IO.Compression;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Gradus.Training.Text;
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

    /// <summary>The published tokenizers that there are, by name: where each lies, and the files of expected ids.</summary>
    public static IReadOnlyDictionary<string, (string Tokenizer, List<string> Cases)> Tokenizers { get; } = FindTokenizers();

    /// <summary>A published tokenizer; skips the test where it is absent.</summary>
    public static Tokenizer Tokenizer(string name)
    {
        Assert.SkipWhen(!Tokenizers.ContainsKey(name), $"There is no tokenizers/{name} below GRADUS_FIXTURES or ../shared/fixtures.");
        return read.GetOrAdd(name, _ => Gradus.Training.Text.Tokenizer.Parse(Unzip(Tokenizers[name].Tokenizer)));
    }

    /// <summary>Texts with their ids, over all roots.</summary>
    public static IEnumerable<JsonElement> Cases(string name) => Tokenizers[name].Cases.SelectMany(file => Json(file).GetProperty("cases").EnumerateArray());

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

    private static readonly ConcurrentDictionary<string, Tokenizer> read = [];

    private static Dictionary<string, (string, List<string>)> FindTokenizers()
    {
        var found = new Dictionary<string, (string, List<string>)>();
        foreach (var folder in Roots().Select(root => Path.Combine(root, "tokenizers")).Where(Directory.Exists))
        {
            foreach (var cases in Directory.EnumerateFiles(folder, "*.json").Order())
            {
                var tokenizer = Path.Combine(folder, Path.GetFileNameWithoutExtension(cases), "tokenizer.json.gz");
                var name = Path.GetFileNameWithoutExtension(cases);
                if (found.TryGetValue(name, out var known)) known.Item2.Add(cases);
                else if (File.Exists(tokenizer)) found[name] = (tokenizer, [cases]);
            }
        }

        return found;
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

using System.Diagnostics;
using System.IO.Compression;
using System.Text;
using Gradus.Training.Text;

namespace Gradus.Workload;

/// <summary>
/// Published tokenizers on one core: GSM8K's train.jsonl line by line, and texts that repeat one thing for a megabyte. Both lie in <c>../shared</c>, or in
/// the folders that GRADUS_FIXTURES names first.
/// </summary>
public static class TokenizerRate
{
    public static void Print(int runs)
    {
        var shared = Path.Combine("..", "shared");
        var roots = (Environment.GetEnvironmentVariable("GRADUS_FIXTURES") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries).Append(Path.Combine(shared, "fixtures"));
        var folders = roots.Select(root => Path.Combine(root, "tokenizers")).Where(Directory.Exists).SelectMany(Directory.EnumerateDirectories).Order();
        var file = Path.Combine(shared, "data", "gsm8k", "train.jsonl");
        var lines = File.Exists(file) ? File.ReadAllLines(file) : [];
        foreach (var folder in folders) Measure(folder, lines, runs);
    }

    // Seconds of processor time: a shared machine gives a thread only part of the seconds on the wall.
    private static double Processor()
    {
        using var process = Process.GetCurrentProcess();
        return process.TotalProcessorTime.TotalSeconds;
    }

    private static void Measure(string folder, string[] lines, int runs)
    {
        using var zipped = new GZipStream(File.OpenRead(Path.Combine(folder, "tokenizer.json.gz")), CompressionMode.Decompress);
        using var plain = new MemoryStream();
        zipped.CopyTo(plain);
        var start = Processor();
        var tokenizer = Tokenizer.Parse(plain.ToArray());
        var load = (Processor() - start);
        var bytes = lines.Sum(line => Encoding.UTF8.GetByteCount(line));
        var encode = new List<double>();
        var decode = new List<double>();
        for (var run = 0; run <= runs; run++)
        {
            start = Processor();
            var ids = lines.Select(line => tokenizer.Encode(line)).ToList();
            encode.Add(bytes / 1e6 / (Processor() - start));
            start = Processor();
            foreach (var line in ids) tokenizer.Decode(line);
            decode.Add(bytes / 1e6 / (Processor() - start));
        }

        Console.WriteLine(FormattableString.Invariant(
            $"tokenizer {Path.GetFileName(folder)}: read in {load:F2} s; GSM8K encoded at {encode[0]:F1} MB/s the first time, then best {encode[1..].Max():F1}, median {encode[1..].Order().ElementAt(runs / 2):F1}; decoded at best {decode[1..].Max():F1} MB/s"));
        var times = new List<string>();
        foreach (var (name, unit) in new[] { ("a", "a"), ("7", "7"), ("space", " "), ("line break", "\n"), ("emoji", "😀"), ("'a '", "a "), ("e and acute", "e\u0301"), ("acutes", "\u0301"), ("Han", "中") })
        {
            var text = string.Concat(Enumerable.Repeat(unit, 1_000_000 / Encoding.UTF8.GetByteCount(unit)));
            start = Processor();
            tokenizer.Encode(text);
            times.Add(FormattableString.Invariant($"{name} {(Processor() - start):F2}"));
        }

        Console.WriteLine($"tokenizer {Path.GetFileName(folder)}: seconds for a megabyte of one thing: {string.Join(", ", times)}");
    }
}

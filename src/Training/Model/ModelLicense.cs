using System.Text;

namespace Gradus.Training.Model;

/// <summary>Under which licence a model's folder says it stands. It is what the files say, not legal advice.</summary>
internal static class ModelLicense
{
    private const int LongestHead = 64 << 10, LongestName = 100;

    private static readonly string[] files = ["LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE"];

    /// <summary>The card's (README.md) <c>license</c> in Hugging Face's words, else what the licence file is; null where neither says.</summary>
    public static string? Of(string folder) => OfCard(Head(Path.Combine(folder, "README.md"))) ?? files
        .Select(name => OfText(Head(Path.Combine(folder, name)))).FirstOrDefault(found => found is not null);

    /// <summary>The front matter is YAML; of it only lines "key: value" at its first level are looked at.</summary>
    internal static string? OfCard(string text)
    {
        var lines = text.Split('\n').Select(line => line.TrimEnd()).ToArray();
        if (lines is not ["---", ..]) return null;
        var fields = lines.Skip(1).TakeWhile(line => line != "---").ToArray();
        string? Field(string name) => fields.Where(line => line.StartsWith(name + ":", StringComparison.Ordinal))
            .Select(line => line[(name.Length + 1)..].Trim().Trim('"', '\'')).FirstOrDefault(value => value.Length is > 0 and <= LongestName);
        var license = Field("license");
        return license == "other" ? Field("license_name") ?? license : license;
    }

    private static string? OfText(string text)
    {
        if (text.Contains("Apache License", StringComparison.Ordinal) && text.Contains("Version 2.0", StringComparison.Ordinal)) return "apache-2.0";
        if (text.Contains("MIT License", StringComparison.Ordinal) || text.Contains("Permission is hereby granted, free of charge", StringComparison.Ordinal)) return "mit";
        var first = text.Split('\n').Select(line => line.Trim(' ', '#', '\r', '\t')).FirstOrDefault(line => line.Length > 0);
        return first?.Length > LongestName ? first[..LongestName] : first;
    }

    private static string Head(string path)
    {
        if (!File.Exists(path)) return "";
        using var file = File.OpenRead(path);
        var bytes = new byte[LongestHead];
        var text = Encoding.UTF8.GetString(bytes, 0, file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false));
        return new string([.. text.Where(letter => !char.IsControl(letter) || letter is '\n' or '\t')]);
    }
}

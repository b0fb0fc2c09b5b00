namespace Gradus.Training.Model;

/// <summary>
/// A file of a model's folder before it is read. Folders come from outside: a name may be a link that leads out of the folder or in a circle, a device without
/// an end, or larger than its kind ever is.
/// </summary>
internal static class ModelFile
{
    /// <summary>The file's length in bytes, at least 1.</summary>
    /// <param name="largest">In bytes.</param>
    /// <exception cref="InvalidInputException">There is no such file, it lies elsewhere, has nothing in it (devices and pipes say so, too) or more than is allowed.</exception>
    public static long Length(string path, long largest)
    {
        var name = Path.GetFileName(path);
        if (!File.Exists(path)) throw new InvalidInputException($"There is no {name} in {Path.GetDirectoryName(path)}.", name, "missing");
        FileSystemInfo? target;
        try
        {
            target = File.ResolveLinkTarget(path, returnFinalTarget: true);
        }
        catch (IOException)
        {
            throw new InvalidInputException($"{name} is a link that leads nowhere.", name, "missing");
        }

        if (target is not null && !File.Exists(target.FullName)) throw new InvalidInputException($"{name} is a link that leads nowhere.", name, "missing");
        if (target is not null && Path.GetDirectoryName(target.FullName) != Path.GetDirectoryName(Path.GetFullPath(path)))
            throw new InvalidInputException($"{name} is a link to a file outside of its folder, which is not followed.", name);
        var length = new FileInfo(target?.FullName ?? path).Length;
        if (length == 0) throw new InvalidInputException($"{name} is empty, or not a file.", name);
        return length <= largest ? length : throw new InvalidInputException($"{name} may have {largest} bytes; it has {length}.", name, "out_of_range");
    }

    /// <summary>All of a file.</summary>
    /// <exception cref="InvalidInputException">As <see cref="Length"/>, or it cannot be read.</exception>
    public static byte[] Read(string path, long largest)
    {
        Length(path, largest);
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new InvalidInputException($"{Path.GetFileName(path)} cannot be read: {problem.Message}", Path.GetFileName(path));
        }
    }

    /// <summary>What reading JSON into a type throws where a text is no valid Unicode, a number is none of its kind, or the kind is another.</summary>
    public static T Checked<T>(string name, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception problem) when (problem is InvalidOperationException or FormatException)
        {
            throw new InvalidInputException($"{name} holds a value of another kind than it should, or a text that is no valid Unicode: {problem.Message}", name);
        }
    }
}

namespace TorchSharp;

public static partial class torch
{
    /// <summary>A random stream of its own. The product derives its randomness itself; this is for tests and benches.</summary>
    public class Generator : IDisposable
    {
        private nint _handle;

        private Generator(nint handle) => _handle = handle;

        public Generator(ulong seed = 0, Device? device = null) : this(Native.gt_generator(seed, 1))
        {
            if (device is { type: not DeviceType.CPU }) throw new NotSupportedException("The System profile has generators on the CPU only");
        }

        ~Generator() => Free();

        public static Generator Default => new(Native.gt_generator(0, 0));

        public nint Handle
        {
            get
            {
                ObjectDisposedException.ThrowIf(_handle == 0, this);
                return _handle;
            }
        }

        public Device device => CPU;

        public Generator manual_seed(long seed)
        {
            Native.Check(Native.gt_generator_seed(Handle, (ulong)seed));
            GC.KeepAlive(this);
            return this;
        }

        public long initial_seed()
        {
            long seed = (long)Native.gt_generator_current(Handle);
            GC.KeepAlive(this);
            return seed;
        }

        public void Dispose()
        {
            Free();
            GC.SuppressFinalize(this);
        }

        private void Free()
        {
            nint handle = Interlocked.Exchange(ref _handle, 0);
            if (handle != 0) Native.gt_generator_free(handle);
        }
    }

    public static Generator manual_seed(long seed) => Generator.Default.manual_seed(seed);

    public static class random
    {
        public static Generator manual_seed(long seed) => torch.manual_seed(seed);
        public static long initial_seed() => Generator.Default.initial_seed();
    }
}
